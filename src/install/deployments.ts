import type { InstallObject } from "./object";
import { covers } from "./covers";
import { ADMISSION_PODS, WATCHER_PODS } from "./names";
import { canonicalQuantity } from "./quantity";
import { withReadOnlyRoot, type PodSpec } from "./read-only-root";

/** CPU and memory of one control-plane pod. */
export interface PodSize {
  readonly cpuRequest: string;
  readonly memoryRequest: string;
  readonly cpuLimit: string;
  readonly memoryLimit: string;
}

/** Half a CPU and 512 Mi, Pepr's own, starve ADS at a few hundred proxies. */
export const DEFAULT_POD_SIZE: PodSize = {
  cpuRequest: "200m",
  memoryRequest: "256Mi",
  cpuLimit: "1",
  memoryLimit: "1Gi",
};

/** Time to leave the endpoints, drain streams and end; Pepr's five seconds are too short for the first of these. */
const GRACE_SECONDS = 15;

const HEALTH = { path: "/healthz", port: 3000, scheme: "HTTPS" };

/**
 * Pepr gives a start 40 s, which a machine under load exceeds, and then again, for ever; and it looks for readiness after 10 s
 * although a start takes three. So: two minutes to start, looked at every second.
 */
const PROBES = {
  startupProbe: { httpGet: HEALTH, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 120 },
  readinessProbe: { httpGet: HEALTH, periodSeconds: 5, timeoutSeconds: 5 },
  livenessProbe: { httpGet: HEALTH, periodSeconds: 10, timeoutSeconds: 10, failureThreshold: 6 },
};

interface PodTemplateSpec extends PodSpec {
  readonly affinity?: unknown;
  readonly securityContext?: Readonly<Record<string, unknown>>;
  readonly terminationGracePeriodSeconds?: number;
}

/** A Deployment as far as it is read here. */
export interface LiveDeployment extends InstallObject {
  readonly spec: {
    readonly template: { readonly metadata?: object; readonly spec: PodTemplateSpec };
    readonly [field: string]: unknown;
  };
}

const awayFrom = (matchLabels: Readonly<Record<string, string>>) => ({
  podAntiAffinity: {
    preferredDuringSchedulingIgnoredDuringExecution: [
      {
        weight: 100,
        podAffinityTerm: { labelSelector: { matchLabels }, topologyKey: "kubernetes.io/hostname" },
      },
    ],
  },
});

/** Where nothing else is said: on other nodes than the pods that serve, as far as there are some. */
export const DEFAULT_AFFINITY = awayFrom(ADMISSION_PODS);

/** What releases before this one said by default; nobody chose it, so it is no user's to keep. */
const FORMER_AFFINITIES: readonly object[] = [awayFrom(WATCHER_PODS)];

/** A user's own affinity, or the default. */
function affinityOf({ affinity }: PodTemplateSpec): unknown {
  if (affinity === undefined || affinity === null) return DEFAULT_AFFINITY;
  const isFormer = FORMER_AFFINITIES.some(former => covers(affinity, former) && covers(former, affinity));
  return isFormer ? DEFAULT_AFFINITY : affinity;
}

/** What standard `restricted` of Pod Security asks for besides what Pepr writes; a user's own profile stays. */
const SECCOMP = { seccompProfile: { type: "RuntimeDefault" } };

function wantedPodSpec(live: PodTemplateSpec, size: PodSize): PodSpec {
  const resources = {
    requests: { cpu: canonicalQuantity(size.cpuRequest), memory: canonicalQuantity(size.memoryRequest) },
    limits: { cpu: canonicalQuantity(size.cpuLimit), memory: canonicalQuantity(size.memoryLimit) },
  };
  return withReadOnlyRoot({
    ...live,
    terminationGracePeriodSeconds: GRACE_SECONDS,
    affinity: affinityOf(live),
    securityContext: { ...SECCOMP, ...live.securityContext },
    containers: live.containers.map(container => ({ ...container, ...PROBES, resources })),
  });
}

/**
 * The whole Deployment with the mesh's sizes, probes and read-only root file system, to be applied under Pepr's name in full (a partial apply would drop what
 * `pepr deploy` wrote), or undefined when it has them. Taking the replica count over as well is intended: after a
 * `kubectl scale`, the next deploy would otherwise stop half-way with a conflict. Bound to the version it was made from: a whole
 * object made from an older one would take back what a deploy has written since.
 */
export function sizedDeployment(live: LiveDeployment, size: PodSize): InstallObject | undefined {
  const template = live.spec.template;
  const { name, namespace, labels: ownLabels, resourceVersion } = live.metadata;
  const podSpec = wantedPodSpec(template.spec, size);
  if (covers(template.spec, podSpec)) return undefined;
  const annotations = Object.fromEntries(
    Object.entries(live.metadata.annotations ?? {}).filter(
      ([key]) => !key.startsWith("deployment.kubernetes.io/"),
    ),
  );
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(ownLabels === undefined ? {} : { labels: ownLabels }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      annotations,
    },
    spec: { ...live.spec, template: { ...template, spec: podSpec } },
  };
}
