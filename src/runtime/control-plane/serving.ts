import { X509Certificate } from "node:crypto";
import type { MeshConfigSpec } from "../../api/mesh-config";
import type { Lifetime } from "../../certificate/plan";
import { parseDuration } from "../../model/duration";
import { ADS_PORT, ADS_SAN } from "../../model/mesh-words";
import type { ServingMaterial } from "../ads/credentials";
import type { AdsServer } from "../ads/server";
import { startAds } from "../ads/server";
import { KEEP_MS } from "../held";
import { createAuthenticator } from "../identity/authenticator";
import type { IssuedPair } from "../issuers/issuer";
import type { KeeperOptions } from "../ownership";
import type { Authority } from "../secrets/authority";
import { issueServing } from "../secrets/authority";
import type { RootFollower } from "../secrets/root-follower";
import { keepServingRenewed } from "../secrets/serving-renewal";
import type { WorkloadSecrets } from "../secrets/workload-secrets";
import { createWorkloadSecrets, rootsOf } from "../secrets/workload-secrets";
import type { Settings } from "../settings";
import type { World } from "./world";

/** Life of this replica's own serving certificate: a day, in milliseconds; replaced at half of it. */
const SERVING_VALIDITY_MS = 86_400_000;
/** OSM's default validity of workload certificates, milliseconds. */
const LEAF_DEFAULT_MS = 86_400_000;
/** The least that MeshConfig's validation accepts, milliseconds; below it a fleet would do little but renew. */
const LEAF_FLOOR_MS = 60_000;

/**
 * How long a replica that starts may compute ahead, milliseconds. Proxies are served meanwhile by the others; where there are
 * none, they wait that much longer for what they would have waited for anyway.
 */
const WARM_MS = 3_000;

/** What a serving replica works with. */
export interface ServingOptions extends KeeperOptions {
  readonly settings: Settings;
  /** Issues what the control plane itself presents. */
  readonly authority: Authority;
  /** Whom workloads trust and who issues to them. Default: the same authority, for good. */
  readonly roots?: RootFollower;
  readonly world: World;
  /** Addresses to listen on, tried in order: `::` takes both families where the kernel has IPv6. */
  readonly hosts?: readonly string[];
  /** Default {@link ADS_PORT}. */
  readonly port?: number;
}

/** The data plane's side of a replica. */
export interface Serving {
  readonly ads: AdsServer;
  readonly secrets: WorkloadSecrets;
  /** End of the certificate that it presents, epoch milliseconds. */
  notAfter(): number;
  /** Sends all proxies elsewhere, spread over the time. */
  leave(graceMs: number): Promise<void>;
  stop(): void;
}

/** Validity of workload certificates that MeshConfig asks for, milliseconds; unreadable values mean OSM's default. */
export function leafValidity(spec: MeshConfigSpec): number {
  const asked = parseDuration(spec.certificate.serviceCertValidityDuration) ?? LEAF_DEFAULT_MS;
  return Math.max(LEAF_FLOOR_MS, asked);
}

async function listenOnFirst(
  hosts: readonly string[],
  start: (host: string) => Promise<AdsServer>,
): Promise<AdsServer> {
  let failure: unknown = new Error("no address to listen on");
  for (const host of hosts) {
    try {
      return await start(host);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

function materialOf({ certPem, keyPem }: IssuedPair, authority: Authority): ServingMaterial {
  const { anchorsPem: clientRoots, fingerprint: root, crossPem = "" } = authority;
  if (crossPem === "") return { certPem, keyPem, clientRoots, root };
  return { certPem: certPem.slice(0, -crossPem.length), keyPem, clientRoots, root, crossPem };
}

/** A certificate of the ADS server, and what is shown with it. */
export function presentedBy(
  authority: Authority,
  lifetime: Lifetime,
): { readonly pair: IssuedPair; readonly material: ServingMaterial } {
  const pair = issueServing(authority, [ADS_SAN, `${ADS_SAN}.cluster.local`], lifetime);
  return { pair, material: materialOf(pair, authority) };
}

/** Whether the authority has signed a certificate, DER. */
export function signedBy({ certPem }: Authority, certificate: Uint8Array): boolean {
  return new X509Certificate(certificate).verify(new X509Certificate(certPem).publicKey);
}

/** Starts ADS; resolves when its port is open. What MeshConfig says about it takes effect while it runs. */
export async function startServing(options: ServingOptions): Promise<Serving> {
  const { settings, authority, clock, log, kube, world } = options;
  const { engine } = world;
  const { trustDomain } = settings;
  const spec = engine.meshConfig();
  const secrets = createWorkloadSecrets({
    roots: options.roots?.roots() ?? rootsOf(authority),
    trustDomain,
    validityMs: leafValidity(spec),
    holdMs: KEEP_MS,
    clock,
    log,
  });
  const rotation = options.roots?.onRoots(roots => {
    secrets.setRoots(roots);
  });
  const authenticator = createAuthenticator({ kube, pods: engine, trustDomain, clock, log });
  const validityMs = SERVING_VALIDITY_MS;
  const { pair: first, material } = presentedBy(authority, { now: clock.now(), validityMs });
  const parts = {
    serving: material,
    config: engine,
    news: () => engine.news(),
    secrets,
    pods: engine,
    authenticator,
    clock,
    log,
  };
  const isOwn = (certificate: Uint8Array): boolean => signedBy(authority, certificate);
  await engine.warm(WARM_MS);
  const maxStreams = spec.sidecar.maxDataPlaneConnections;
  const port = options.port ?? ADS_PORT;
  const ads = await listenOnFirst(options.hosts ?? ["::", "0.0.0.0"], host =>
    startAds({ ...parts, host, port, maxStreams, isOwn }),
  );
  let { notAfter } = first;
  const present = (lifetime: Lifetime): IssuedPair => {
    const next = presentedBy(authority, lifetime);
    notAfter = next.pair.notAfter;
    ads.setServing(next.material);
    return next.pair;
  };
  const renewal = keepServingRenewed(first, { clock, validityMs, present });
  const changed = authority.onChange?.(() => present({ now: clock.now(), validityMs }));
  const subscription = engine.onMeshConfig(next => {
    secrets.setValidity(leafValidity(next));
    ads.setMaxStreams(next.sidecar.maxDataPlaneConnections);
  });
  const stop = (): void => {
    changed?.close();
    renewal.stop();
    rotation?.close();
    subscription.close();
    secrets.stop();
    void ads.close();
  };
  return { ads, secrets, notAfter: () => notAfter, leave: graceMs => ads.drain(graceMs), stop };
}
