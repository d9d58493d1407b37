import type { GroupVersionKind } from "kubernetes-fluent-client";
import { GenericKind } from "kubernetes-fluent-client";
import type { Capability, PeprValidateRequest } from "pepr";
import type { AdmittedObject, Judgement, MeshActions } from "../src/runtime/control-plane/actions";

/** Refuses with every fault in one message, so that an owner corrects them at once. */
function answer(
  request: PeprValidateRequest<GenericKind>,
  judgement: Judgement,
): ReturnType<typeof request.Deny> {
  const warnings = [...judgement.warnings];
  return judgement.faults.length === 0
    ? request.Approve(warnings)
    : request.Deny(judgement.faults.join("; "), 422, warnings);
}

/** Validation before, and a level trigger after a custom object is stored. */
export function bindCustomKind(capability: Capability, actions: MeshActions, kind: GroupVersionKind): void {
  capability
    .When(GenericKind, kind)
    .IsCreatedOrUpdated()
    .Validate(request => answer(request, actions.judge(kind.kind, request.Raw as unknown as AdmittedObject)))
    .Reconcile(object => {
      actions.reconcile({ kind: kind.kind, ...nameOf(object) });
    });
}

/** Namespace and name of an object that the API server has stored. */
export function nameOf(object: GenericKind): { readonly namespace: string; readonly name: string } {
  return { namespace: object.metadata?.namespace ?? "", name: object.metadata?.name ?? "" };
}
