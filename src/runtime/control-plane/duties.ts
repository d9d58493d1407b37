import { ownedObjects } from "../../install/owned";
import type { WebhookIdentity } from "../../install/webhook-secret";
import type { Keeper, KeeperOptions } from "../ownership";
import { keep, keptAs } from "../ownership";
import type { Role } from "../role";
import { admits, isAlone } from "../role";
import type { Settings } from "../settings";
import type { Engine } from "../engine";
import type { OwnAuthority } from "../secrets/own-authority";
import type { RootFollower } from "../secrets/root-follower";
import { MESH_CONFIG_NAME } from "../../model/mesh-words";
import { makeMeshConfig } from "./bootstrap";
import { keptDeployments } from "./deployments";
import { ExternalProxyKeeper } from "./external-proxies";
import { GatewaySecretKeeper } from "./gateway-secret";
import { KeyedWorker } from "./keyed-worker";
import { MeshNamespaceKeeper } from "./mesh-namespaces";
import type { Namespaces } from "./namespaces";

/** What the single writer works with. */
export interface DutyOptions extends KeeperOptions {
  readonly settings: Settings;
  readonly namespaces: Namespaces;
  readonly identity: WebhookIdentity;
  /** Its roots verify the ADS server. */
  readonly authority: OwnAuthority;
  /** Whom workloads trust; the ingress gateway's certificate is issued like theirs. */
  readonly roots: RootFollower;
  readonly engine: Engine;
  readonly role: Role;
}

/** The duties of the single writer, running. */
export interface Duties {
  /** Resolves when everything the mesh owns is as it should be for the first time. */
  readonly settled: Promise<void>;
  readonly meshNamespaces: MeshNamespaceKeeper;
  readonly gateway: GatewaySecretKeeper;
  /** To be called with a renewed identity: configurations trust its CAs and use its path. */
  present(identity: WebhookIdentity): void;
  stop(): void;
}

/** There is a MeshConfig at the start, however it got lost; a failure is tried again until there is one. */
function keepMeshConfig(options: DutyOptions): { stop(): void } {
  const worker = new KeyedWorker({ ...options, work: () => makeMeshConfig(options) });
  worker.enqueue(MESH_CONFIG_NAME);
  return worker;
}

/** Keeps what follows from the webhook's identity; what followed from the one before is let go where it is another. */
export function keepPresented(
  first: WebhookIdentity,
  keepOf: (identity: WebhookIdentity) => Keeper,
): Keeper & Pick<Duties, "present"> {
  let current = first;
  let keeper = keepOf(first);
  return {
    settled: keeper.settled,
    present(identity) {
      if (identity.caCertPem === current.caCertPem && identity.path === current.path) return;
      current = identity;
      keeper.stop();
      keeper = keepOf(identity);
    },
    stop: () => {
      keeper.stop();
    },
  };
}

/** Starts keeping Services, webhook configurations, the admission policy, Deployment sizes and mesh namespaces. */
export function startDuties(options: DutyOptions): Duties {
  const { settings, authority, role } = options;
  const rootsPem = (): string => authority.anchorsPem;
  const meshNamespaces = new MeshNamespaceKeeper({ ...options, rootsPem });
  const gateway = new GatewaySecretKeeper(options);
  const externalProxies = new ExternalProxyKeeper({ ...options, rootsPem });
  const changed = authority.onChange(() => {
    meshNamespaces.lookAtAll();
    externalProxies.lookAtAll();
  });
  const meshConfig = keepMeshConfig(options);
  const keepOwned = (identity: WebhookIdentity): Keeper => {
    const material = { caPem: identity.caCertPem, path: identity.path };
    // What leads to pods of Pepr's would lead nowhere.
    const owned = admits(role) ? ownedObjects(settings, material).map(keptAs) : [];
    const deployments = isAlone(role) ? [] : keptDeployments(settings);
    return keep([...owned, ...deployments], options);
  };
  const presented = keepPresented(options.identity, keepOwned);
  return {
    settled: presented.settled,
    meshNamespaces,
    gateway,
    present: identity => {
      presented.present(identity);
    },
    stop: () => {
      changed.close();
      presented.stop();
      gateway.stop();
      externalProxies.stop();
      meshConfig.stop();
      meshNamespaces.stop();
    },
  };
}
