import type { Call, Decision } from "../../policy/decide";
import { decide } from "../../policy/decide";
import type { Leaf } from "../../policy/types";
import type { Compiler } from "./compiler";

/** What happens to a call of a pod's application; undefined when there is no such pod with a sidecar. */
export function explain(
  { inputs, description, descriptionAt }: Compiler,
  podUid: string,
  call: Omit<Call, "from">,
): Decision | undefined {
  const { graph } = inputs;
  const client = graph.peek(description(podUid));
  if (client === undefined) return undefined;
  const server = (address: string): readonly Leaf[] | undefined => graph.peek(descriptionAt(address))?.leaves;
  return decide({ client: client.leaves, server }, { ...call, from: client.group.identity });
}
