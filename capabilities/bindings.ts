import type { GroupVersionKind } from "kubernetes-fluent-client";
import { GenericKind } from "kubernetes-fluent-client";
import type { Capability, PeprValidateRequest } from "pepr";
import type { AdmittedObject, Judgement, MeshActions } from "../src/runtime/control-plane/actions";

/** Refuses with the object and every fault in one message, so that an owner corrects them at once. */
function answer(
  request: PeprValidateRequest<GenericKind>,
  kind: string,
  judgement: Judgement,
): ReturnType<typeof request.Deny> {
  const warnings = [...judgement.warnings];
  if (judgement.faults.length === 0) return request.Approve(warnings);
  const { namespace, name } = nameOf(request.Raw);
  return request.Deny(`${kind} ${namespace}/${name}: ${judgement.faults.join("; ")}`, 422, warnings);
}

/** What the control plane says of an object, and of what it replaces. */
function judged(request: PeprValidateRequest<GenericKind>, kind: string, actions: MeshActions): Judgement {
  const object = request.Raw as unknown as AdmittedObject;
  // The API server sends null, not nothing, where there was no object before.
  const before = request.OldResource as unknown as AdmittedObject | null | undefined;
  return actions.judge(kind, object, before ?? undefined);
}

/** Validation before, and a level trigger after a custom object is stored. */
export function bindCustomKind(capability: Capability, actions: MeshActions, kind: GroupVersionKind): void {
  capability
    .When(GenericKind, kind)
    .IsCreatedOrUpdated()
    .Validate(request => answer(request, kind.kind, judged(request, kind.kind, actions)))
    .Reconcile(object => {
      actions.reconcile({ kind: kind.kind, ...nameOf(object) });
    });
}

/** Namespace and name of an object; one that is only about to be stored may have no more than the beginning of a name. */
export function nameOf(object: GenericKind): { readonly namespace: string; readonly name: string } {
  const { namespace = "", name = "", generateName = "" } = object.metadata ?? {};
  return { namespace, name: name === "" ? generateName : name };
}
