import { GenericKind } from "kubernetes-fluent-client";
import { Capability } from "pepr";
import type { MeshActions } from "../src/runtime/control-plane/actions";
import { bindCustomKind, nameOf } from "./bindings";
import { kindsNamed, MESH_CONFIG } from "./kinds";

/** MeshConfig: refused when wrong, its status written, and made anew with defaults when it is deleted. */
export function meshConfig(actions: MeshActions): Capability {
  const capability = new Capability({
    name: "mesh-config",
    description: "Validates and reports on MeshConfig",
  });
  for (const kind of kindsNamed(name => name === MESH_CONFIG)) {
    bindCustomKind(capability, actions, kind);
    capability
      .When(GenericKind, kind)
      .IsDeleted()
      .Reconcile(object => {
        actions.reconcile({ kind: kind.kind, ...nameOf(object) });
      });
  }
  return capability;
}
