import type { PeprMutateRequest } from "pepr";
import { a, Capability } from "pepr";
import { ANNOTATION_REFUSED, SIDECAR_CONTAINER } from "../src/model/mesh-words";
import type { AdmittedObject, MeshActions, PodVerdict } from "../src/runtime/control-plane/actions";

type Pod = InstanceType<typeof a.Pod>;

interface Request {
  readonly Raw: Pod;
  readonly Request: { readonly uid: string; readonly namespace?: string };
}

function decide(actions: MeshActions, request: Request): Promise<PodVerdict> {
  return actions.admitPod({
    pod: request.Raw as unknown as AdmittedObject,
    namespace: request.Request.namespace ?? request.Raw.metadata?.namespace ?? "",
    uid: request.Request.uid,
  });
}

/** The last step, and the only one that changes the pod: Pepr keeps what a callback did before it threw. */
function assign(request: PeprMutateRequest<Pod>, verdict: PodVerdict): void {
  if (verdict.kind === "inject") request.Raw = verdict.pod as unknown as Pod;
  if (verdict.kind === "refuse") request.SetAnnotation(ANNOTATION_REFUSED, verdict.reason);
}

const NO_SIDECAR = "the pod was to get a sidecar and has none; create it again";

function hasSidecar({ spec }: Pod): boolean {
  const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  return containers.some(container => container.name === SIDECAR_CONTAINER);
}

/** Sidecars for new pods. A pod that cannot have one is marked with the reason, which admission refuses it with. */
export function injector(actions: MeshActions): Capability {
  const capability = new Capability({
    name: "injector",
    description: "Puts the sidecar into pods of the mesh",
  });
  capability
    .When(a.Pod)
    .IsCreated()
    .Mutate(async request => {
      assign(request, await decide(actions, request));
    })
    .Validate(async request => {
      const verdict = await decide(actions, request);
      if (verdict.kind === "refuse") return request.Deny(verdict.reason, 403);
      // Mutation was lost on the way: a pod that should have a sidecar must not start without one.
      if (verdict.kind === "inject" && !hasSidecar(request.Raw)) return request.Deny(NO_SIDECAR, 500);
      return request.Approve();
    });
  return capability;
}
