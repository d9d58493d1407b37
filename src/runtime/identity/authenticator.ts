/**
 * Who opens an ADS stream: proven by a pod-bound token, joined with the live pod and with the client certificate; or, outside
 * of the cluster, by a client certificate made for that alone.
 */
import { X509Certificate } from "node:crypto";
import { parseSpiffeId, type ServiceIdentity } from "../../model/identity";
import { TOKEN_AUDIENCE } from "../../model/mesh-words";
import type { KubeClient } from "../kube";
import type { AuthenticatedProxy, Authenticator, Clock, LivePod, Log, PodDirectory } from "../ports";
import { refused } from "./errors";
import { externalOf, onlyUri, proveExternal } from "./external-proxy";
import { isSignedBy, LEEWAY_MS, parseToken, podClaims, type ParsedToken, type PodClaims } from "./jwt";
import { createTokenKeys } from "./token-keys";
import { createTokenReviewer } from "./token-review";

/** How long a pod, or the membership of its namespace, that the informers have not shown yet is waited for, milliseconds. */
export const UNKNOWN_POD_HOLD_MS = 5_000;
const LOOK_AGAIN_MS = 50;

/**
 * Deleted pods that are remembered: a token outlives its pod by at most an hour, and nobody must wait for one that will not
 * come. More than this at once, and the oldest are answered like unknown ones again.
 */
const GONE_PODS = 20_000;

/** What identities are checked against. */
export interface AuthenticatorOptions {
  readonly kube: Pick<KubeClient, "get" | "create">;
  readonly pods: PodDirectory;
  readonly trustDomain: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Default {@link TOKEN_AUDIENCE}. */
  readonly audience?: string;
}

/** The one way into ADS. Nothing a proxy says about itself (node id, labels, metadata, address) takes part. */
export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const audience = options.audience ?? TOKEN_AUDIENCE;
  const { clock, pods, trustDomain } = options;
  const keys = createTokenKeys(options);
  const reviewed = createTokenReviewer({ ...options, audience });
  const gone = rememberGone(pods);

  const proveSignature = async (token: string, parsed: ParsedToken, claims: PodClaims): Promise<void> => {
    const found = await keys.find(parsed.keyId);
    if (found === "unpublished") {
      if (!(await reviewed(token)))
        throw refused("unauthenticated", "the API server does not accept the token");
      return;
    }
    if (found === undefined) throw refused("unauthenticated", "the token is signed with an unknown key");
    if (!isSignedBy(parsed, found.key)) throw refused("unauthenticated", "the token's signature is wrong");
    if (claims.issuer !== found.issuer) throw refused("denied", "the token is of another issuer");
  };

  return {
    authenticate: async ({ bearerToken, clientCertificate, onProven }) => {
      const external = bearerToken === undefined ? externalOf(clientCertificate) : undefined;
      if (external !== undefined) {
        onProven?.(external.name.uid);
        const owner = "the ExternalWorkload of the certificate";
        const pod = await livePod({ pods, gone, clock, owner }, external.name.uid);
        return proveExternal(external, pod, clock.now());
      }
      if (bearerToken === undefined || bearerToken === "") {
        throw refused("unauthenticated", "no token was presented");
      }
      const parsed = parseToken(bearerToken);
      const claims = podClaims(parsed);
      checkTimes(claims, clock.now());
      if (!claims.audiences.includes(audience)) throw refused("denied", "the token is for another audience");
      await proveSignature(bearerToken, parsed, claims);
      if (clientCertificate !== undefined) checkCertificate(clientCertificate, trustDomain, claims);
      onProven?.(claims.podUid);
      const pod = await livePod({ pods, gone, clock, owner: "the pod of the token" }, claims.podUid);
      checkPod(pod, claims);
      return proxyOf(claims, clientCertificate);
    },
  };
}

function proxyOf(claims: PodClaims, certificate: Uint8Array | undefined): AuthenticatedProxy {
  const { namespace, serviceAccount, podUid, podName, expiresAt } = claims;
  const certificateEnd = certificate && Date.parse(new X509Certificate(certificate).validTo);
  return {
    identity: { namespace, serviceAccount },
    podUid,
    podName,
    expiresAt: Math.min(expiresAt, certificateEnd ?? Infinity),
  };
}

function checkTimes(claims: PodClaims, now: number): void {
  if (claims.expiresAt + LEEWAY_MS <= now) throw refused("unauthenticated", "the token has expired");
  if (claims.notBefore - LEEWAY_MS > now) throw refused("unauthenticated", "the token is not valid yet");
}

/** UIDs of pods that have been seen and are not there any more. */
function rememberGone(pods: PodDirectory): ReadonlySet<string> {
  const gone = new Set<string>();
  pods.onGone(uid => {
    gone.add(uid);
    const [oldest] = gone;
    if (gone.size > GONE_PODS && oldest !== undefined) gone.delete(oldest);
  });
  return gone;
}

/** What is known of pods, and when. */
interface Whereabouts {
  readonly pods: PodDirectory;
  readonly gone: ReadonlySet<string>;
  readonly clock: Clock;
  /** What is looked for, in messages. */
  readonly owner: string;
}

/**
 * The live pod of that UID. One that is not known is waited for, because the informer may lag behind the kubelet; so is its
 * namespace, because the informers of pods and namespaces may be apart. One that is known to be gone is not.
 */
async function livePod({ pods, gone, clock, owner }: Whereabouts, uid: string): Promise<LivePod> {
  // Looks are counted: a clock that is put back must not make the wait longer.
  for (let looks = 0; ; looks += 1) {
    const pod = pods.byUid(uid);
    if (pod !== undefined && isSettled(pod)) return pod;
    if (gone.has(uid)) throw refused("denied", `${owner} is gone`);
    if (looks >= UNKNOWN_POD_HOLD_MS / LOOK_AGAIN_MS) {
      if (pod !== undefined) return pod;
      throw refused("unavailable", `${owner} is not known`);
    }
    await new Promise<void>(resolve => clock.setTimeout(resolve, LOOK_AGAIN_MS));
  }
}

/** Whether time can change nothing about the answer. */
function isSettled({ sidecar, meshed }: LivePod): boolean {
  return meshed || !sidecar;
}

function checkPod(pod: LivePod, claims: PodClaims): void {
  const same =
    pod.uid === claims.podUid &&
    pod.name === claims.podName &&
    pod.namespace === claims.namespace &&
    pod.serviceAccount === claims.serviceAccount;
  if (!same) throw refused("denied", "the token is not of the live pod it names");
  if (!pod.sidecar) throw refused("denied", "the pod has no sidecar of this mesh");
  if (!pod.meshed) throw refused("denied", "the namespace of the pod does not belong to this mesh");
}

/** The workload named by a client certificate that the TLS layer has verified: exactly one URI name, a SPIFFE ID. */
export function certificateIdentity(der: Uint8Array, trustDomain: string): ServiceIdentity | undefined {
  const uri = onlyUri(new X509Certificate(der));
  return uri === undefined ? undefined : parseSpiffeId(trustDomain, uri);
}

function checkCertificate(der: Uint8Array, trustDomain: string, claims: PodClaims): void {
  const identity = certificateIdentity(der, trustDomain);
  if (identity?.namespace !== claims.namespace || identity.serviceAccount !== claims.serviceAccount) {
    throw refused("denied", "the client certificate is of another identity than the token");
  }
}
