import type { Family } from "../../graph/graph";
import type { Call, Decision, Possibility } from "../../policy/decide";
import { decide } from "../../policy/decide";
import type { Leaf } from "../../policy/types";
import type { Compiler } from "./compiler";

/** A call of an application, whoever it is. */
export type Dialled = Omit<Call, "from">;

/**
 * What happens to a call of a pod's application; undefined when there is no such pod. What a sidecar lets pass it by, or a
 * pod without one calls, is carried by the node to a pod, whose own sidecar may have a word.
 */
export function explain(compiler: Compiler, podUid: string, call: Dialled): Decision | undefined {
  const { inputs, description } = compiler;
  const { graph } = inputs;
  const client = graph.peek(description(podUid));
  if (client === undefined) {
    return graph.peek(inputs.pods.by("uid", podUid)).length === 0 ? undefined : explainPlain(compiler, call);
  }
  const { identity } = client.group;
  const decision = decide({ client: client.leaves, server: serverOf(compiler) }, { ...call, from: identity });
  // What an Egress lets out may go to where a name leads, not to what was dialled.
  if (decision.outcome !== "passthrough" || decision.by.some(({ kind }) => kind === "Egress"))
    return decision;
  const beyond = explainPlain(compiler, call);
  if (beyond.outcome === "passthrough") return decision;
  return { ...beyond, steps: [...decision.steps, ...beyond.steps] };
}

/** What happens to a call that no sidecar of the caller's takes. */
export function explainPlain(compiler: Compiler, call: Dialled): Decision {
  const server = serverOf(compiler);
  const ends = podsBehind(compiler, call).map(({ address, port }): Decision => {
    const world = {
      client: [],
      server: (at: string) => (passedBy(compiler, at, port) ? undefined : server(at)),
    };
    return { destination: { address, port }, ...decide(world, { ...call, address, port, from: undefined }) };
  });
  const [first, ...others] = ends;
  if (first === undefined)
    return { outcome: "unavailable", allowed: false, by: [], steps: ["no pod"], possible: [] };
  const differs = others.some(({ outcome, status }) => outcome !== first.outcome || status !== first.status);
  return differs ? { ...first, possible: possibilities(ends) } : first;
}

/** Each different end once, with its share of the pods. */
function possibilities(ends: readonly Decision[]): readonly Possibility[] {
  const counted = new Map<string, Possibility>();
  for (const { outcome, by, status, destination } of ends) {
    const key = JSON.stringify([outcome, status, by]);
    const share = (counted.get(key)?.share ?? 0) + 1 / ends.length;
    const end = { outcome, by, cluster: "", ...(status === undefined ? {} : { status }) };
    counted.set(key, {
      ...(destination === undefined ? {} : { destination }),
      ...counted.get(key),
      ...end,
      share,
    });
  }
  return [...counted.values()].sort((a, b) => b.share - a.share);
}

function serverOf({ inputs, descriptionAt }: Compiler): (address: string) => readonly Leaf[] | undefined {
  return address => inputs.graph.peek(descriptionAt(address))?.leaves;
}

function peekAll<V>(compiler: Compiler, keys: readonly string[], row: Family<string, V | undefined>): V[] {
  return keys.flatMap(key => compiler.inputs.graph.peek(row(key)) ?? []);
}

/** Whether the pod at an address was told to let a port past its sidecar. */
function passedBy(compiler: Compiler, address: string, port: number): boolean {
  const { graph, pods } = compiler.inputs;
  return peekAll(compiler, graph.peek(pods.by("ip", address)), key => pods.row(key)).some(
    pod => pod.excludedPorts?.includes(port) === true,
  );
}

interface Target {
  readonly address: string;
  readonly port: number;
}

/** Where the node sends what is dialled: to the ready pods of the Service whose address it is, else where it was dialled to. */
function podsBehind(compiler: Compiler, { address, port }: Dialled): readonly Target[] {
  const { services, slices } = compiler.inputs;
  const [owner] = [...services.rows].filter(([, service]) => service.addresses.includes(address));
  if (owner === undefined) return [{ address, port }];
  const [key, service] = owner;
  const name = service.ports.find(
    candidate => candidate.port === port && candidate.transport === "TCP",
  )?.name;
  const family = address.includes(":") ? "IPv6" : "IPv4";
  return peekAll(compiler, compiler.inputs.graph.peek(slices.by("service", key)), each => slices.row(each))
    .filter(({ addressType }) => addressType === family)
    .flatMap(({ ports, endpoints }) => {
      const target = ports.find(candidate => candidate.name === name && candidate.transport === "TCP")?.port;
      const ready = endpoints.filter(endpoint => endpoint.ready);
      return target === undefined ? [] : ready.map(endpoint => ({ address: endpoint.address, port: target }));
    });
}
