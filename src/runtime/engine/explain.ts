import { tcpPortsOf } from "../../catalog/node-groups";
import type { Cell } from "../../graph/graph";
import type { Call, Decision } from "../../policy/decide";
import { decide } from "../../policy/decide";
import type { Leaf } from "../../policy/types";
import type { Compiler } from "./compiler";

/**
 * What happens to a call of a pod's application; undefined when there is no such pod. A pod without a sidecar reaches the
 * pod that it dials; of a Service's pods the first is followed.
 */
export function explain(compiler: Compiler, podUid: string, call: Omit<Call, "from">): Decision | undefined {
  const { inputs, description, descriptionAt } = compiler;
  const { graph } = inputs;
  const peek = <T>(cell: Cell<T>): T => graph.peek(cell);
  const server = (address: string): readonly Leaf[] | undefined => peek(descriptionAt(address))?.leaves;
  const client = peek(description(podUid));
  if (client !== undefined) {
    return decide({ client: client.leaves, server }, { ...call, from: client.group.identity });
  }
  if (peek(inputs.pods.by("uid", podUid)).length === 0) return undefined;
  const dialled = podBehind(compiler, call) ?? call;
  return decide({ client: [], server }, { ...call, ...dialled, from: undefined });
}

/** Where the node sends what is dialled at a Service's own address. */
function podBehind(
  { inputs, catalog }: Compiler,
  { address, port }: Omit<Call, "from">,
): { readonly address: string; readonly port: number } | undefined {
  const { graph } = inputs;
  const [key] = graph.peek(inputs.services.by("address", address));
  const service = key === undefined ? undefined : graph.peek(inputs.services.row(key));
  const name = service && tcpPortsOf(service).find(candidate => candidate.port === port)?.name;
  if (key === undefined || name === undefined) return undefined;
  return graph
    .peek(catalog.endpoints.backing(key))
    .endpoints.flatMap(endpoint => {
      const target = endpoint.ports[name];
      return endpoint.ready && target !== undefined ? [{ address: endpoint.address, port: target }] : [];
    })
    .at(0);
}
