import type { MeshConfigSpec } from "../../api/mesh-config";
import type { FleetTrust, GatewayTrust } from "../../certificate/root-proof";
import { EMBEDDED_CRDS } from "../../install/crds";
import { WEBHOOK_PORT } from "../../install/names";
import type { WebhookIdentity } from "../../install/webhook-secret";
import type { TrustDomain } from "../../model/identity";
import { PEPR_NAMESPACE } from "../../model/mesh-words";
import type { Api } from "../api/start";
import { startApi } from "../api/start";
import type { OpenIssuer } from "../issuers/issuer";
import { createOpenIssuer } from "../issuers/open";
import { containedClock, countedLog, type Place } from "../contained";
import type { KubeClient } from "../kube";
import { earliestEnd, readCertificates } from "../issuers/chain";
import { fleetTrust } from "../ledger/trust";
import type { RootLog } from "../log";
import type { Metrics } from "../metrics";
import { createMetrics } from "../metrics";
import { countReviews, observeContained, observeExpiry, observeFleet, repairCounter } from "../observe";
import type { Clock } from "../ports";
import type { Role } from "../role";
import { admits, serves, writes } from "../role";
import type { Authority } from "../secrets/authority";
import { ensureAuthority } from "../secrets/ca-secret";
import type { OwnAuthority } from "../secrets/own-authority";
import { followOwnAuthority } from "../secrets/own-authority";
import type { RootFollower } from "../secrets/root-follower";
import { followRoots } from "../secrets/root-follower";
import type { Settings } from "../settings";
import type { MeshActions } from "./actions";
import { injectorSettings, judgeInWorld, ownAddresses, podAdmission } from "./admission";
import {
  ensureDefinitions,
  ensureGuards,
  ensureMeshConfig,
  ensureNamespace,
  readMeshConfig,
} from "./bootstrap";
import { step } from "./bounded";
import { sizeAtStart } from "./deployments";
import type { Duties } from "./duties";
import { startDuties } from "./duties";
import type { Endpoints } from "./endpoints";
import { openEndpoints } from "./endpoints";
import { leave } from "./leaving";
import type { Ledgers, OutsideLedger } from "./ledger";
import { openLedgers } from "./ledger";
import type { Namespaces } from "./namespaces";
import { followNamespaces } from "./namespaces";
import { watchOwnPod } from "./own-pod";
import type { Reporting } from "./reporting";
import { startReporting } from "./reporting";
import { OwnRootKeeper } from "./own-root-keeper";
import { RootKeeper } from "./root-keeper";
import { triggerByInformers } from "./self-trigger";
import type { Serving } from "./serving";
import { leafValidity, startServing } from "./serving";
import { reportSkippedPods } from "./skipped-pods";
import { WebhookCaKeeper } from "./webhook-ca-keeper";
import { ensureWebhookIdentity, followWebhookIdentity } from "./webhook-identity";
import { guarded } from "./webhook-guard";
import type { MutableEnv, WebhookServer } from "./webhook-server";
import { handToPepr, steerWebhookServer } from "./webhook-server";
import type { World } from "./world";
import { startWorld } from "./world";

/** What a control plane is started with. */
export interface ControlPlaneOptions {
  readonly role: Role;
  readonly kube: KubeClient;
  readonly settings: Settings;
  readonly log: RootLog;
  readonly clock: Clock;
  /** Numbers in [0, 1) for jitter. */
  readonly random: () => number;
  /** Where Pepr looks for its certificate; written to. */
  readonly env: MutableEnv;
  /** Version of this release. */
  readonly version: string;
  /** Where ADS listens. Default: port 15128 of every address. */
  readonly ads?: { readonly hosts: readonly string[]; readonly port: number };
  /** Where Pepr's server listens. Default: port 3000. */
  readonly webhookPort?: number;
  /** Where health and metrics are read. Default: port 9091. */
  readonly healthPort?: number;
  /** Other replicas outside of the cluster; default: none. */
  readonly ledger?: OutsideLedger;
  /** How long pods may take to read other roots of the control plane, milliseconds. Default: the kubelet's time. */
  readonly filesTakeMs?: number;
  /** Ends the process; called when the pod is being deleted and everything has been handed over. */
  readonly exit: () => void;
}

/** A control plane that is ready. */
export interface ControlPlane {
  readonly actions: MeshActions;
  /** Port of ADS; undefined: this process serves no proxies. */
  readonly adsPort: number | undefined;
  /** Port of health and metrics. */
  readonly healthPort: number;
  /** PEM of the roots that verify the ADS server. */
  rootsPem(): string;
  /** What it has seen and made, to be looked at. */
  readonly inside: { readonly world: World; readonly serving: Serving | undefined };
  /** To be called when Pepr's module has been constructed: the duties of the single writer begin, where this is it. */
  constructed(): void;
  stop(): Promise<void>;
}

/** Time for one step of the start; beyond it something is wrong, and a new start is the better try. */
const STEP_MS = 30_000;

type Step = <T>(name: string, run: () => Promise<T>) => Promise<T>;

/** What every pod of the control plane shares through the API: made by whichever comes first. */
interface Foundation {
  /** The CA that the mesh began with: it issues to workloads, where nobody else does. */
  readonly builtIn: Authority;
  /** Issues what the control plane itself presents: the same until its root has been rotated. */
  readonly authority: OwnAuthority;
  readonly following: { stop(): void };
  /** Opens who issues to workloads. */
  readonly openIssuer: OpenIssuer;
  readonly roots: RootFollower;
  readonly identity: WebhookIdentity;
  /** In force until the informers have seen a usable MeshConfig. */
  readonly meshConfig: MeshConfigSpec;
}

async function lay(options: ControlPlaneOptions, run: Step): Promise<Foundation> {
  const { role, kube, settings, clock, log } = options;
  const bootstrap = { kube, clock, log, settings, mayChange: writes(role) };
  const { osmNamespace, trustDomain } = settings;
  const root = { kube, namespace: osmNamespace, now: () => clock.now(), log };
  if (role === "watcher") await run("size of the control plane", () => sizeAtStart(kube, settings));
  await run("namespace", () => ensureNamespace(bootstrap));
  if (admits(role)) await run("admission policy", () => ensureGuards(bootstrap));
  await run("custom resource definitions", () => ensureDefinitions(bootstrap, EMBEDDED_CRDS));
  await run("default MeshConfig", () => ensureMeshConfig(bootstrap));
  const meshConfig = await run("MeshConfig", () => readMeshConfig(kube, settings));
  const builtIn = await run("root certificate", () => ensureAuthority(root));
  const ownOptions = { ...options, namespace: osmNamespace, builtIn };
  const following = await run("root of the control plane", () => followOwnAuthority(ownOptions));
  const openIssuer = createOpenIssuer({ ...options, osmNamespace, trustDomain });
  const follow = { ...options, ...root, openIssuer, authority: builtIn, trustDomain };
  const roots = await run("roots of the workloads", () => followRoots(follow));
  const identity = await run("webhook identity", () => ensureWebhookIdentity(kube, settings, clock));
  const { authority } = following;
  return { authority, builtIn, following, openIssuer, roots, identity, meshConfig };
}

/** Starts everything a role needs, each step within its time; resolves when this process is ready to serve. */
export async function startControlPlane(given: ControlPlaneOptions): Promise<ControlPlane> {
  const errors = new Map<Place, number>();
  const counted = countedLog(given.log, place => errors.set(place, (errors.get(place) ?? 0) + 1));
  const options = { ...given, log: counted, clock: containedClock(given.clock, counted) };
  const { kube, settings, clock, log, env } = options;
  const run: Step = (name, work) => step(name, work, { clock, log, ms: STEP_MS });
  const foundation = await lay(options, run);
  if (admits(options.role)) handToPepr(foundation.identity, settings.temporaryFolder, env);
  const port = options.webhookPort ?? WEBHOOK_PORT;
  const secretPath = admits(options.role) ? foundation.identity.path : undefined;
  const server = guarded(steerWebhookServer(port), { port, secretPath, clock, log });
  const namespaces = followNamespaces(settings, options);
  const world = startMeshWorld(options, foundation);
  await run("informers", () => Promise.all([namespaces.synced, world.synced]));
  log.setLevel(world.engine.meshConfig().observability.osmLogLevel);
  world.engine.onMeshConfig(spec => {
    log.setLevel(spec.observability.osmLogLevel);
  });
  const pod = { namespace: PEPR_NAMESPACE, name: settings.podName };
  const injection = await run("what the cluster offers", async () =>
    injectorSettings(kube, settings, await ownAddresses(kube, pod)),
  );
  const serving = serves(options.role)
    ? await run("ADS", () => startServing({ ...options, ...options.ads, ...foundation, world }))
    : undefined;
  const { engine } = world;
  const ledgers = await run("ledger", () => openLedgers({ ...options, ...foundation, engine, serving }));
  const metrics = createMetrics(log);
  observeFleet(metrics, ledgers.fleet, engine);
  const shown = { ...options, world, serving, metrics };
  const endpoints = await run("HTTP endpoints", () => openEndpoints(shown));
  observeContained(metrics, errors);
  const admitPod = podAdmission({
    settings: injection,
    meshConfig: () => world.engine.meshConfig(),
    namespaces,
  });
  return assemble(options, {
    ...foundation,
    server,
    namespaces,
    world,
    serving,
    ledgers,
    endpoints,
    metrics,
    admitPod,
  });
}

/** A world whose proxies accept names of the trust domains of all roots that are trusted, before they are given one. */
function startMeshWorld(options: ControlPlaneOptions, { roots, meshConfig }: Foundation): World {
  const { settings } = options;
  const domains = (): { readonly trustDomain: TrustDomain; readonly callerDomain: TrustDomain } => {
    const { trustDomains: trustDomain = settings.trustDomain, callerDomains } = roots.roots();
    return { trustDomain, callerDomain: callerDomains ?? trustDomain };
  };
  const world = startWorld(settings, { ...options, ...domains() }, meshConfig);
  roots.onRoots(() => {
    const { trustDomain, callerDomain } = domains();
    world.engine.setTrustDomain(trustDomain, callerDomain);
  });
  return world;
}

interface Parts extends Foundation {
  readonly server: WebhookServer;
  readonly namespaces: Namespaces;
  readonly world: World;
  readonly serving: Serving | undefined;
  readonly ledgers: Ledgers;
  readonly endpoints: Endpoints;
  readonly metrics: Metrics;
  readonly admitPod: MeshActions["admitPod"];
}

/** Shows when certificates end. */
function showExpiry(parts: Parts, identity: () => WebhookIdentity): void {
  const { metrics, authority, roots, serving } = parts;
  const endOf = (pem: string): number | undefined =>
    pem === "" ? undefined : earliestEnd(readCertificates(pem));
  observeExpiry(metrics, {
    root: () => endOf(roots.roots().issuer.anchorsPem),
    "control-plane": () => authority.notAfter,
    webhook: () => endOf(identity().certPem),
    "webhook-ca": () => endOf(identity().caCertPem),
    serving: () => serving?.notAfter(),
    workload: () => serving?.secrets.firstEnd(),
  });
}

/** The rotation of the workloads' root, driven by what all replicas tell of their proxies. */
function rotateRoots(
  options: ControlPlaneOptions,
  parts: Parts,
  gateway: () => GatewayTrust | undefined,
): RootKeeper {
  const { fleet } = parts.ledgers;
  return new RootKeeper({
    ...options,
    ...parts,
    authority: parts.builtIn,
    gateway,
    isEnabled: () => parts.world.engine.meshConfig().featureFlags.enableMeshRootCertificate,
    fleet: () => fleet && fleetTrust(fleet.view()),
    leafLifeMs: () => leafValidity(parts.world.engine.meshConfig()),
  });
}

/** What is known of the mesh, for those who may read it; undefined: nobody counts. */
function openApi(
  options: ControlPlaneOptions,
  parts: Parts,
  told: { readonly reporting: Reporting; readonly keeper: RootKeeper },
): Api | undefined {
  const { fleet } = parts.ledgers;
  const { engine } = parts.world;
  const { progress } = told.reporting;
  if (!admits(options.role)) return undefined;
  return fleet && startApi({ ...options, ...parts, engine, fleet, progress, roots: () => told.keeper.view });
}

/** The rotation of the control plane's own root. */
function rotateOwnRoot(
  options: ControlPlaneOptions,
  parts: Parts,
  isDistributed: () => boolean,
): OwnRootKeeper {
  const { ledgers, authority, builtIn } = parts;
  const fleet = (): FleetTrust | undefined => ledgers.fleet && fleetTrust(ledgers.fleet.view());
  return new OwnRootKeeper({ ...options, builtIn, authority, fleet, isDistributed });
}

/** Hands everything over when this pod is being deleted; outside of a cluster there is none. */
function watchOwn(options: ControlPlaneOptions, parts: Parts): { stop(): void } | undefined {
  const { podName } = options.settings;
  if (podName === "") return undefined;
  return watchOwnPod(podName, options, () => {
    void leave({ ...options, ...parts }).finally(options.exit);
  });
}

function reachedAt(parts: Parts): Pick<ControlPlane, "adsPort" | "healthPort" | "rootsPem" | "inside"> {
  const { world, serving, endpoints, authority } = parts;
  return {
    inside: { world, serving },
    adsPort: serving?.ads.port,
    healthPort: endpoints.healthPort,
    rootsPem: () => authority.anchorsPem,
  };
}

/** What runs before anything is assembled; the servers last. */
function fromTheStart(parts: Parts): readonly ({ stop(): void } | undefined)[] {
  const { following, endpoints, ledgers, roots, namespaces, serving, world, server } = parts;
  return [following, endpoints, ledgers, roots, namespaces, serving, world, server];
}

function assemble(options: ControlPlaneOptions, parts: Parts): ControlPlane {
  const { role, settings, log } = options;
  const { server, namespaces, world, metrics, admitPod } = parts;
  const { engine } = world;
  let identity = parts.identity;
  let duties: Duties | undefined;
  let reporting: Reporting | undefined;
  let webhookCa: WebhookCaKeeper | undefined;
  const begun: ({ stop(): void } | undefined)[] = [];
  const follower = followWebhookIdentity(settings, options, next => {
    identity = next;
    server.present(next);
    duties?.present(next);
    webhookCa?.look();
  });
  const duty = { ...options, ...parts, engine, onRepair: repairCounter(metrics) };
  showExpiry(parts, () => identity);
  const ownPod = watchOwn(options, parts);
  return {
    ...reachedAt(parts),
    actions: countReviews(metrics, {
      admitPod,
      judge: judgeInWorld(world, log),
      reconcile: object => {
        reporting?.reconcile(object);
      },
      tick: () => Promise.resolve(webhookCa?.look()),
    }),
    constructed() {
      log.info("ready");
      if (!writes(role)) return;
      const keeper = rotateRoots(options, parts, () => duties?.gateway.trust());
      reporting = startReporting({ ...options, engine, fleet: parts.ledgers.fleet, roots: keeper });
      duties = startDuties({ ...duty, identity });
      if (!admits(role)) triggerByInformers(world, reporting, { keeper, namespace: settings.osmNamespace });
      // What no API server calls has no certificate to be renewed.
      if (admits(role)) webhookCa = new WebhookCaKeeper({ ...options, events: reporting.events });
      begun.push(
        webhookCa,
        openApi(options, parts, { reporting, keeper }),
        keeper,
        rotateOwnRoot(options, parts, () => duties?.meshNamespaces.isDone() === true),
        reportSkippedPods({ ...options, namespaces, events: reporting.events }),
      );
    },
    stop: () => {
      const own = [duties, reporting, ownPod, follower, ...fromTheStart(parts)];
      for (const part of [...begun, ...own]) part?.stop();
      return Promise.resolve();
    },
  };
}
