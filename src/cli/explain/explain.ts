/** `osm explain`: a question about a world of objects, and its answer. */
import type { KubeDocument } from "../offline/documents";
import { createMeshWorld, type MeshWorld, type WorldOptions } from "../offline/world";
import { explainCall } from "./answer";
import { assumedPod, findCaller } from "./callers";
import { findDestination } from "./destinations";
import type { ExplainRequest, Explanation } from "./request";
import { documentKey } from "../offline/documents";

/** Answers a question about objects. Throws {@link CommandError} for names that mean nothing there. */
export function explainObjects(
  documents: readonly KubeDocument[],
  options: WorldOptions,
  request: ExplainRequest,
): Explanation {
  return explainWithin(createMeshWorld(documents, options), request, (extra, key) =>
    createMeshWorld([...documents, extra], {
      ...options,
      ...(options.plan === undefined ? {} : { plan: new Set([...options.plan, key]) }),
    }),
  );
}

/** The same in a world that stands already; `extended` makes it anew with one pod more. */
export function explainWithin(
  world: MeshWorld,
  request: ExplainRequest,
  extended?: (extra: KubeDocument, key: string) => MeshWorld,
): Explanation {
  const caller = findCaller(world, request.from, request.namespace);
  const { account } = caller;
  const lookup = {
    namespace: caller.namespace,
    ...(request.address === undefined ? {} : { address: request.address }),
  };
  if (account === undefined || extended === undefined) {
    return explainCall(world, caller, findDestination(world, request.to, lookup), request);
  }
  const pod = assumedPod(account);
  const next = extended(pod, documentKey(pod));
  const pods = [...next.documents.values()].filter(each => documentKey(each) === documentKey(pod));
  const answer = explainCall(next, { ...caller, pods }, findDestination(next, request.to, lookup), request);
  const note = `no pod runs as ${caller.what}; judged as a new pod of it would be`;
  return { ...answer, notes: [note, ...answer.notes] };
}
