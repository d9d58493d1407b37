import { generateKeyPairSync, sign } from "node:crypto";
import { TOKEN_AUDIENCE } from "../../../src/model/mesh-words";
import type { Mesh, PodView } from "./mesh";

/** What a token is asked for from the API server, which signs it. */
interface TokenOrder {
  readonly namespace: string;
  readonly serviceAccount: string;
  /** The pod it is bound to; undefined: not bound to anything. */
  readonly pod?: PodView;
  /** Default the mesh's. */
  readonly audience?: string;
  /** How long it is good, seconds; default and least 600. Its streams end with it. */
  readonly seconds?: number;
}

interface TokenRequest {
  readonly status?: { readonly token: string };
}

/** Asks the API server for a token; throws a KubeError when it gives none. */
export async function tokenFor(mesh: Mesh, order: TokenOrder): Promise<string> {
  const { pod, namespace, serviceAccount } = order;
  const bound = pod && {
    boundObjectRef: { apiVersion: "v1", kind: "Pod", name: pod.metadata.name, uid: pod.metadata.uid },
  };
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`;
  const { status } = await mesh.api.create<TokenRequest & Record<string, unknown>>(path, {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec: {
      audiences: [order.audience ?? TOKEN_AUDIENCE],
      expirationSeconds: order.seconds ?? 600,
      ...bound,
    },
  });
  if (status === undefined) throw new Error("the API server gave no token");
  return status.token;
}

const json = (part: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(part, "base64url").toString()) as Record<string, unknown>;

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** How a genuine token is falsified. */
type Forgery = "none algorithm" | "own key" | "other claims" | "no signature";

/** A token like `genuine` with claims changed by `change`, made by someone without the cluster's key. */
export function forgedToken(genuine: string, how: Forgery, change: object = {}): string {
  const [header = "", payload = "", signature = ""] = genuine.split(".");
  const claims = part({ ...json(payload), ...change });
  switch (how) {
    case "none algorithm":
      return `${part({ ...json(header), alg: "none" })}.${claims}.`;
    case "no signature":
      return `${header}.${claims}.`;
    case "other claims":
      return `${header}.${claims}.${signature}`;
    case "own key": {
      const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
      const signed = sign("sha256", Buffer.from(`${header}.${claims}`), privateKey);
      return `${header}.${claims}.${signed.toString("base64url")}`;
    }
  }
}
