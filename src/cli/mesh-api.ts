/** The read-only API of the control plane, through the API server's port-forward and with a token of the viewer's account. */
import http from "node:http";
import type { Duplex } from "node:stream";
import { connect } from "node:tls";
import { WATCHER_PODS } from "../install/names";
import {
  ADS_SAN,
  API_AUDIENCE,
  API_PORT,
  CA_ROOT_CONFIGMAP,
  CA_ROOT_KEY,
  PEPR_NAMESPACE,
  VIEWER_ACCOUNT,
} from "../model/mesh-words";
import type { KubeClient, KubeObject } from "../runtime/kube";
import { KubeError } from "../runtime/kube";
import { labelSelector } from "../runtime/kube/read";
import type { CliContext } from "./context";
import { CommandError } from "./failure";
import { openPodPort } from "./stream/pod-port";

/** The API as commands use it. */
export interface MeshApi {
  /** The answer to a path with its query. Rejects with {@link CommandError} where there is none. */
  get<T>(path: string): Promise<T>;
  close(): void;
}

interface PodView extends KubeObject {
  readonly status?: {
    readonly phase?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

interface TokenRequest {
  readonly spec: { readonly audiences: readonly string[]; readonly expirationSeconds: number };
  readonly status?: { readonly token: string };
}

interface Token {
  readonly token: string;
  /** Epoch milliseconds. */
  readonly renewAt: number;
}

/** Life of a token, seconds: the least that Kubernetes gives. */
const TOKEN_SECONDS = 600;
/** The API's answers are bounded; beyond this it is something else that answers. */
const MOST_BYTES = 64 * 1024 * 1024;
const TIMEOUT_MS = 15_000;

/** What the user lacks, where the API server says that he may not. */
function needing<T>(right: string, work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    if (!(error instanceof KubeError) || error.status !== 403) throw error;
    throw new CommandError(
      `you may not ${right} in namespace ${PEPR_NAMESPACE}: ask for the Role of docs/guides/dashboard.md`,
    );
  });
}

async function watcherPod(kube: KubeClient): Promise<string> {
  const selector = encodeURIComponent(labelSelector(WATCHER_PODS));
  const path = `/api/v1/namespaces/${PEPR_NAMESPACE}/pods?labelSelector=${selector}`;
  const { items } = await needing("list pods", kube.get<{ readonly items: readonly PodView[] }>(path));
  const ready = items.find(
    ({ metadata, status }) =>
      metadata.deletionTimestamp === undefined &&
      status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") === true,
  );
  if (ready !== undefined) return ready.metadata.name;
  throw new CommandError(
    items.length === 0
      ? `there is no control plane in namespace ${PEPR_NAMESPACE}: is the mesh installed?`
      : `the control plane's pod ${items[0]?.metadata.name ?? ""} is not ready; see: kubectl -n ${PEPR_NAMESPACE} get pods`,
  );
}

async function rootsOf(kube: KubeClient): Promise<string> {
  const path = `/api/v1/namespaces/${PEPR_NAMESPACE}/configmaps/${CA_ROOT_CONFIGMAP}`;
  const { data } = await needing(
    `get ConfigMap ${CA_ROOT_CONFIGMAP}`,
    kube.get<{ readonly data?: Readonly<Record<string, string>> }>(path),
  );
  return data?.[CA_ROOT_KEY] ?? "";
}

async function newToken(kube: KubeClient, now: number): Promise<Token> {
  const path = `/api/v1/namespaces/${PEPR_NAMESPACE}/serviceaccounts/${VIEWER_ACCOUNT}/token`;
  const request = {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec: { audiences: [API_AUDIENCE], expirationSeconds: TOKEN_SECONDS },
  };
  const { status } = await needing(
    `create tokens of ServiceAccount ${VIEWER_ACCOUNT}`,
    kube.create<TokenRequest>(path, request),
  );
  return { token: status?.token ?? "", renewAt: now + TOKEN_SECONDS * 800 };
}

/** Connections through which one pod's API is asked, kept between requests; whoever answers must be the control plane. */
class ApiAgent extends http.Agent {
  constructor(
    private readonly open: () => Promise<Duplex>,
    private readonly ca: string,
  ) {
    super({ keepAlive: true, maxSockets: 2 });
  }

  override createConnection(
    _options: object,
    done?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    const { ca } = this;
    const failed = (error: Error): void => done?.(error, undefined as unknown as Duplex);
    this.open().then(socket => {
      const secure = connect({ socket, ca, servername: ADS_SAN, minVersion: "TLSv1.3" });
      secure.once("error", failed);
      secure.once("secureConnect", () => {
        secure.off("error", failed);
        done?.(null, secure);
      });
    }, failed);
    return undefined;
  }
}

class Client implements MeshApi {
  private agent: ApiAgent | undefined;
  private token: Token | undefined;

  constructor(private readonly context: CliContext) {}

  async get<T>(path: string): Promise<T> {
    try {
      return await this.ask<T>(path);
    } catch (error) {
      // The pod may have been replaced since: once more, from the beginning.
      const hadAgent = this.agent !== undefined;
      this.close();
      if (!hadAgent || error instanceof CommandError) throw error;
      return this.ask<T>(path);
    }
  }

  close(): void {
    this.agent?.destroy();
    this.agent = undefined;
  }

  private async ask<T>(path: string): Promise<T> {
    const { context } = this;
    const kube = await context.kube();
    this.agent ??= await this.connect(kube);
    if (this.token === undefined || this.token.renewAt < context.now())
      this.token = await newToken(kube, context.now());
    const { status, body } = await exchange(this.agent, path, this.token.token);
    if (status === 200) return JSON.parse(body) as T;
    if (status === 401) this.token = undefined;
    throw new CommandError(`the control plane answers ${status}: ${errorOf(body)}`);
  }

  private async connect(kube: KubeClient): Promise<ApiAgent> {
    // One after the other: what the user lacks is told in the same order every time.
    const pod = await watcherPod(kube);
    const ca = await rootsOf(kube);
    const target = { namespace: PEPR_NAMESPACE, pod, port: API_PORT };
    return new ApiAgent(() => openPodPort(this.context.credentials(), target), ca);
  }
}

function errorOf(body: string): string {
  try {
    return String((JSON.parse(body) as { readonly error?: unknown }).error);
  } catch {
    return "what it answers is not understood";
  }
}

function exchange(
  agent: http.Agent,
  path: string,
  token: string,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    const request = http.request({ agent, path, host: ADS_SAN, headers, timeout: TIMEOUT_MS }, response => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on("data", (part: Buffer) => {
        size += part.length;
        if (size > MOST_BYTES) response.destroy(new Error("the answer is too long"));
        else parts.push(part);
      });
      response.on("error", reject);
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString("utf8") });
      });
    });
    request.on("timeout", () => request.destroy(new Error("the control plane does not answer")));
    request.on("error", reject);
    request.end();
  });
}

/** The API of the mesh in the cluster; nothing is connected before the first question. */
export function openMeshApi(context: CliContext): MeshApi {
  return new Client(context);
}
