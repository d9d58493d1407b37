import type { ReplicaTrust } from "../../certificate/root-proof";
import { ADMISSION_PODS } from "../../install/names";
import { trustDomainsOf } from "../../model/identity";
import { MESH_CONFIG_NAME, PEPR_NAMESPACE } from "../../model/mesh-words";
import type { Engine } from "../engine";
import type { KubeObject } from "../kube";
import { startInformer } from "../kube/informer";
import { labelSelector } from "../kube/read";
import { Fleet, type Connect, type Replica } from "../ledger/fleet";
import { ReplicaLedger } from "../ledger/replica";
import type { LedgerMessage } from "../ledger/rows";
import { LEDGER_PORT, startLedgerServer, watchLedger, type LedgerServer } from "../ledger/transport";
import type { KeeperOptions } from "../ownership";
import type { Role } from "../role";
import { isAlone, serves, writes } from "../role";
import type { OwnAuthority } from "../secrets/own-authority";
import type { RootFollower } from "../secrets/root-follower";
import type { Settings } from "../settings";
import type { Serving } from "./serving";

/** What the ledger of a pod works with. */
export interface LedgerOptions extends KeeperOptions {
  readonly role: Role;
  readonly settings: Settings;
  /** The control plane's own CA. */
  readonly authority: OwnAuthority;
  readonly engine: Engine;
  /** undefined: this pod serves no proxies. */
  readonly serving: Serving | undefined;
  /** Whom workloads trust. */
  readonly roots: RootFollower;
  /** Of this release. */
  readonly version?: string;
  readonly ledger?: OutsideLedger;
}

/** Where the replicas of a control plane outside of the cluster, which are no pods, find each other's ledgers. */
export interface OutsideLedger {
  /** Where a replica listens. Default: {@link LEDGER_PORT} of every address. */
  readonly port?: number;
  readonly host?: string;
  /** `host:port` of the replicas that a process with all duties follows beside itself. */
  readonly follow?: readonly string[];
}

/** The ledger's side of a pod: what it tells, and what it is told. */
export interface Ledgers {
  /** The sum over all replicas; only where it is needed, in the single writer. */
  readonly fleet: Fleet | undefined;
  stop(): void;
}

interface PodView extends KubeObject {
  readonly status?: {
    readonly podIP?: string;
    readonly phase?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

/** A pod that serves ADS; undefined before it has an address, and after its end. */
function replicaOf({ metadata, status }: PodView): Replica | undefined {
  const { podIP, phase, conditions } = status ?? {};
  if (podIP === undefined || phase === "Succeeded" || phase === "Failed") return undefined;
  const host = podIP.includes(":") ? `[${podIP}]` : podIP;
  return {
    uid: metadata.uid ?? metadata.name,
    name: metadata.name,
    address: `${host}:${LEDGER_PORT}`,
    ready: conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") ?? false,
  };
}

function followReplicas(options: LedgerOptions, fleet: Fleet): { stop(): void } {
  const informer = startInformer<Replica | undefined>({
    ...options,
    source: {
      kind: "Pod",
      path: `/api/v1/namespaces/${PEPR_NAMESPACE}/pods`,
      labelSelector: labelSelector(ADMISSION_PODS),
      project: object => replicaOf(object as PodView),
    },
    onChange: () => {
      fleet.setReplicas([...informer.values().values()].flatMap(replica => replica ?? []));
    },
  });
  return informer;
}

/** How the one process with all duties is named among its replicas; it needs no address to ask itself. */
const SELF: Replica = { uid: "self", name: "self", address: "", ready: true };

/** One process with all duties asks itself. */
function followItself(ledger: ReplicaLedger | undefined): Connect {
  return (_replica, handlers) => {
    const watch = ledger?.watch(message => {
      handlers.onMessage(JSON.parse(message) as LedgerMessage);
      return true;
    });
    return { close: () => watch?.close() };
  };
}

function openFleet(options: LedgerOptions, own: ReplicaLedger | undefined): { fleet: Fleet; stop(): void } {
  const { engine, authority, clock, role } = options;
  const itself = followItself(own);
  const connect: Connect = (replica, handlers) =>
    replica === SELF
      ? itself(replica, handlers)
      : watchLedger({ address: replica.address, authority, clock, ...handlers });
  const log = options.log.child("ledger");
  const fleet = new Fleet({ ...options, log, connect, expected: () => engine.expectedProxies() });
  const subscription = engine.onExpectedProxies(() => {
    fleet.expectedChanged();
  });
  const others = (options.ledger?.follow ?? []).map(address => ({
    ...SELF,
    uid: address,
    name: address,
    address,
  }));
  const replicas = isAlone(role) ? undefined : followReplicas(options, fleet);
  if (replicas === undefined) fleet.setReplicas([SELF, ...others]);
  return {
    fleet,
    stop: () => {
      subscription.close();
      replicas?.stop();
      fleet.stop();
    },
  };
}

/** Opens this pod's ledger to the others where it serves proxies, and follows theirs where it writes. */
export async function openLedgers(options: LedgerOptions): Promise<Ledgers> {
  const { role, engine, serving, settings, clock } = options;
  const meshConfig = {
    group: "config.openservicemesh.io",
    kind: "MeshConfig",
    namespace: settings.osmNamespace,
    name: MESH_CONFIG_NAME,
  };
  const domains = (): readonly string[] => trustDomainsOf(engine.trustDomain());
  const own =
    serving === undefined
      ? undefined
      : new ReplicaLedger({
          streams: serving.ads.ledger,
          engine,
          meshConfig,
          given: () => ({ ...serving.secrets.given(), domains: domains(), own: ownOf(options.authority) }),
          domains,
          clock,
          log: options.log,
          ...(options.version === undefined ? {} : { version: options.version }),
        });
  const changed = (): void => own?.givenChanged();
  const given = [
    options.roots.onRoots(changed),
    serving?.secrets.onTrouble(changed),
    options.authority.onChange(changed),
  ];
  const server =
    own === undefined || !serves(role) || isAlone(role) ? undefined : await listenLedger(options, own);
  const following = writes(role) ? openFleet(options, own) : undefined;
  return {
    fleet: following?.fleet,
    stop: () => {
      for (const subscription of given) subscription?.close();
      following?.stop();
      server?.stop();
      own?.stop();
    },
  };
}

function ownOf({ trustVersion, fingerprint }: OwnAuthority): NonNullable<ReplicaTrust["own"]> {
  return { trust: trustVersion, issuing: fingerprint };
}

/** `::` takes both families where the kernel has IPv6. */
function listenLedger(options: LedgerOptions, ledger: ReplicaLedger): Promise<LedgerServer> {
  const { port = LEDGER_PORT, host } = options.ledger ?? {};
  const start = (at: string): Promise<LedgerServer> =>
    startLedgerServer({ ...options, host: at, port, ledger });
  return host === undefined ? start("::").catch(() => start("0.0.0.0")) : start(host);
}
