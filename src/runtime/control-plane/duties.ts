import { ownedObjects } from "../../install/owned";
import type { WebhookIdentity } from "../../install/webhook-secret";
import type { Keeper, KeeperOptions } from "../ownership";
import { keep, keptAs } from "../ownership";
import type { Settings } from "../settings";
import { keptDeployments } from "./deployments";
import { MeshNamespaceKeeper } from "./mesh-namespaces";
import type { Namespaces } from "./namespaces";

/** What the single writer works with. */
export interface DutyOptions extends KeeperOptions {
  readonly settings: Settings;
  readonly namespaces: Namespaces;
  readonly identity: WebhookIdentity;
  /** PEM of the roots that verify the ADS server. */
  readonly rootsPem: () => string;
  /** False where the process does not run in Pepr's Deployments (development). */
  readonly inCluster: boolean;
}

/** The duties of the single writer, running. */
export interface Duties {
  /** Resolves when everything the mesh owns is as it should be for the first time. */
  readonly settled: Promise<void>;
  readonly meshNamespaces: MeshNamespaceKeeper;
  /** To be called with a renewed identity: configurations trust its CA and use its path. */
  present(identity: WebhookIdentity): void;
  stop(): void;
}

/** Starts keeping Services, webhook configurations, the admission policy, Deployment sizes and mesh namespaces. */
export function startDuties(options: DutyOptions): Duties {
  const { settings } = options;
  const meshNamespaces = new MeshNamespaceKeeper(options);
  const keepOwned = (identity: WebhookIdentity): Keeper => {
    const material = { caPem: identity.caCertPem, path: identity.path };
    const deployments = options.inCluster ? keptDeployments(settings) : [];
    return keep([...ownedObjects(settings, material).map(keptAs), ...deployments], options);
  };
  let current = options.identity;
  let keeper = keepOwned(current);
  return {
    settled: keeper.settled,
    meshNamespaces,
    present(identity) {
      if (identity.caCertPem === current.caCertPem && identity.path === current.path) return;
      current = identity;
      keeper.stop();
      keeper = keepOwned(identity);
    },
    stop: () => {
      keeper.stop();
      meshNamespaces.stop();
    },
  };
}
