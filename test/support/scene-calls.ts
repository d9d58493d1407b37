import { isIP } from "node:net";
import { objectRefKey } from "../../src/model/object-ref";
import { type Decision, decide, type Possibility } from "../../src/policy/decide";
import type { Leaf } from "../../src/policy/types";
import type { PolicyDescription } from "../../src/runtime/engine";
import type { TestObject } from "./objects";
import { documentsOf, podAddresses, podName, type Scene } from "./scene";
import { carriedTo, excludedPorts, hostNames } from "./scene-services";
import { proxyOf } from "./world";

/** A call as a scene's `calls.yaml` has it. */
export interface SceneCall {
  /** `namespace/name` of the calling pod, with or without a sidecar. */
  readonly from: string;
  /** URL, scheme one of {@link SCHEMES}; its host a Service, a pod of a headless Service, or an address. */
  readonly to: string;
  /** Default GET; POST for grpc. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** `namespace/account` whose certificate the application itself presents, over https. Default: none. */
  readonly as?: string;
  /** What the caller sees. */
  readonly expect: Answer;
  /** The only pods that may answer, `namespace/name`. Default: any. */
  readonly at?: string | readonly string[];
  /** The real call is made so often, in which each pod of `at` must answer at least once. Default 1. */
  readonly times?: number;
  /** `false`: the evaluator does not speak of what decides here (limits, faults), only real Envoys are asked. */
  readonly evaluator?: false;
  /** Exactly the objects that decide, `Kind/namespace/name`. Default: not looked at. */
  readonly by?: string | readonly string[];
}

/**
 * A status of HTTP (for gRPC the one that means the same); `answered`: bytes came back over a connection of bytes;
 * `passthrough`: answered, but not through the mesh; `refused`: the connection ended without an answer.
 */
export type Answer = number | "answered" | "passthrough" | "refused";

/** `h2` is HTTP/2 with prior knowledge; over `tcp` the client speaks first, over `server-first` the server. */
export const SCHEMES = ["http", "https", "h2", "grpc", "tcp", "server-first"] as const;

/** A call with everything looked up. */
export interface ResolvedCall {
  /** For titles of tests. */
  readonly title: string;
  readonly from: TestObject;
  readonly scheme: (typeof SCHEMES)[number];
  readonly address: string;
  readonly port: number;
  readonly method: string;
  readonly path: string;
  /** With `host`. */
  readonly headers: Readonly<Record<string, string>>;
  /** The host of the URL. */
  readonly serverName: string;
  readonly as: string | undefined;
  readonly expect: Answer;
  readonly at: readonly string[] | undefined;
  readonly by: readonly string[] | undefined;
  readonly times: number;
}

const FIELDS = new Set(["from", "to", "method", "headers", "as", "expect", "at", "times", "by", "evaluator"]);

/** Calls of a scene as given, or after a step: the content of `calls.yaml` or `steps/NN-name.calls.yaml`. */
export function callsOf(scene: string, step?: string): readonly SceneCall[] {
  const file = step === undefined ? "calls.yaml" : `steps/${step}.calls.yaml`;
  const calls = documentsOf(scene, file).flatMap(document => document as readonly SceneCall[]);
  for (const call of calls) {
    const odd = Object.keys(call).filter(field => !FIELDS.has(field));
    if (odd.length > 0) throw new Error(`${scene}/${file}: a call has no ${odd.join(", ")}`);
  }
  return calls;
}

/** A call as the title of a test. */
export function titleOf({ from, method, to, expect }: SceneCall): string {
  return `${from} → ${method === undefined ? "" : `${method} `}${to}: ${expect}`;
}

/** Looks up the pod and the address a call means, in the scene as it is now. */
export function resolveCall(scene: Scene, call: SceneCall): ResolvedCall {
  const from = scene.pods.find(pod => podName(pod) === call.from);
  if (from === undefined) throw new Error(`no pod ${call.from}`);
  const { scheme, host, port, path } = partsOf(call.to);
  const method = call.method ?? (scheme === "grpc" ? "POST" : "GET");
  return {
    title: titleOf(call),
    from,
    scheme,
    address: addressOf(scene, host),
    port,
    method,
    path,
    headers: {
      host: DEFAULT_PORTS.has(port) ? bracketed(host) : `${bracketed(host)}:${port}`,
      ...(scheme === "grpc" ? { "content-type": "application/grpc" } : {}),
      ...call.headers,
    },
    serverName: host,
    as: call.as,
    expect: call.expect,
    at: list(call.at),
    by: list(call.by),
    times: call.times ?? 1,
  };
}

/** Whether a call is an HTTP request that a sidecar can read, on whatever version. */
export function isHttp({ scheme }: ResolvedCall): boolean {
  return scheme === "http" || scheme === "h2" || scheme === "grpc";
}

/** They are not part of a Host header. */
const DEFAULT_PORTS: ReadonlySet<number> = new Set([80, 443]);

function partsOf(to: string): Pick<ResolvedCall, "scheme" | "port" | "path"> & { readonly host: string } {
  const [, word, ipv6, name, port, path = ""] =
    /^([a-z0-9-]+):\/\/(?:\[([0-9a-f:]+)\]|([a-z0-9.-]+))(?::(\d+))?(\/.*)?$/.exec(to) ?? [];
  const scheme = SCHEMES.find(known => known === word);
  const host = ipv6 ?? name;
  if (scheme === undefined || host === undefined) throw new Error(`not an address to call: ${to}`);
  return {
    scheme,
    host,
    port: Number(port ?? (scheme === "https" ? 443 : 80)),
    path: path === "" ? "/" : path,
  };
}

function bracketed(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}

function list(value: string | readonly string[] | undefined): readonly string[] | undefined {
  return typeof value === "string" ? [value] : value;
}

interface ServiceSpec {
  readonly clusterIP?: string;
}

/** What a resolver would answer: a Service's cluster address, or a pod's behind a headless Service or of that name. */
function addressOf(scene: Scene, host: string): string {
  if (isIP(host) !== 0) return host;
  const [known] = hostNames(scene.objects).get(host) ?? [];
  if (known !== undefined) return known;
  const labels = host.split(".");
  const service = find(scene, "Service", labels[0], labels[1]);
  if (service !== undefined) {
    const { clusterIP = "" } = service["spec"] as ServiceSpec;
    if (isIP(clusterIP) !== 0) return clusterIP;
    throw new Error(`${host} has no address: name one of its pods, as pod.service.namespace`);
  }
  const address = podAddresses(find(scene, "Pod", labels[0], labels[2]))[0];
  if (address === undefined) throw new Error(`nothing in the scene is called ${host}`);
  return address;
}

function find(scene: Scene, kind: string, name = "", namespace = ""): TestObject | undefined {
  return scene.objects.find(
    object =>
      object.kind === kind && object.metadata.name === name && object.metadata.namespace === namespace,
  );
}

function podAt(scene: Scene, address: string | undefined): TestObject | undefined {
  return scene.pods.find(pod => podAddresses(pod).includes(address ?? ""));
}

/** Whether a call that a pod (`namespace/name`) with a sidecar answers has reached it past that sidecar. */
export function passesBy(scene: Scene, call: ResolvedCall, name: string): boolean {
  const pod = scene.pods.find(candidate => podName(candidate) === name);
  return pod !== undefined && excludedPorts(pod).includes(carriedTo(scene.objects, call).port);
}

/** How the evaluator decides a call: what the caller's sidecar lets out as it is may meet the sidecar of a pod. */
export function decided(scene: Scene, call: ResolvedCall): Decision {
  const decision = decidedBySidecars(scene, call, describe(scene, call.from));
  const isLetOut = decision.outcome === "passthrough" && decision.by.every(({ kind }) => kind !== "Egress");
  if (!isLetOut) return decision;
  const beyond = decidedBySidecars(scene, call, undefined);
  return beyond.outcome === "passthrough" ? decision : beyond;
}

/** `client`: undefined where no sidecar of the caller's takes the call. */
function decidedBySidecars(
  scene: Scene,
  call: ResolvedCall,
  client: PolicyDescription | undefined,
): Decision {
  const { method, path, headers } = call;
  const leavesOf = (pod: TestObject | undefined): readonly Leaf[] | undefined =>
    pod && describe(scene, pod)?.leaves;
  const from = client?.group.identity;
  // Between a caller without a sidecar and a Service stands only the node.
  const { address, port } = from === undefined ? carriedTo(scene.objects, call) : call;
  const source = podAddresses(call.from)[0];
  const said = {
    ...(source === undefined ? {} : { source }),
    ...(call.scheme === "https" ? { serverName: call.serverName } : {}),
  };
  const bySidecar = (pod: TestObject | undefined): readonly Leaf[] | undefined =>
    pod !== undefined && from === undefined && excludedPorts(pod).includes(port) ? undefined : leavesOf(pod);
  return decide(
    { client: client?.leaves ?? [], server: dialled => bySidecar(podAt(scene, dialled)) },
    { from, address, port, ...said, ...(isHttp(call) ? { http: { method, path, headers } } : {}) },
  );
}

/** What the evaluator says to a call. */
export function evaluated(scene: Scene, call: ResolvedCall): Evaluation {
  const decision = decided(scene, call);
  const reached = [decision, ...decision.possible].flatMap(
    ({ destination }) => podAt(scene, destination?.address) ?? [],
  );
  return {
    answer: answerTo(decision, isHttp(call)),
    at: [...new Set(reached.map(podName))],
    by: decision.by.map(ref => objectRefKey({ ...ref, group: "" })).sort(),
    steps: decision.steps,
  };
}

function describe(scene: Scene, pod: TestObject): PolicyDescription | undefined {
  return scene.world.engine.describe(proxyOf(pod).podUid);
}

/** A decision in the words of `calls.yaml`. */
export interface Evaluation {
  readonly answer: Answer;
  /** The pods that can be reached, of each destination the first. */
  readonly at: readonly string[];
  readonly by: readonly string[];
  /** For the message of a failure. */
  readonly steps: readonly string[];
}

/** What a caller sees: a status where a proxy answers by HTTP, else that the connection ends unless it is `delivered`. */
export function answerTo(
  { outcome, status }: Pick<Possibility, "outcome" | "status">,
  http: boolean,
): Answer {
  if (outcome === "passthrough" || outcome === "refused") return outcome;
  if (outcome === "delivered") return http ? 200 : "answered";
  return http && status !== undefined ? status : "refused";
}
