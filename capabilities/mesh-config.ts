import { GenericKind } from "kubernetes-fluent-client";
import { Capability } from "pepr";
import type { MeshActions } from "../src/runtime/control-plane/actions";
import { bindCustomKind, nameOf } from "./bindings";
import { MESH_CONFIG } from "./kinds";

/** MeshConfig: refused when wrong, its status written, and made anew with defaults when it is deleted. */
export function meshConfig(actions: MeshActions): Capability {
  const capability = new Capability({
    name: "mesh-config",
    description: "Validates and reports on MeshConfig",
  });
  bindCustomKind(capability, actions, MESH_CONFIG);
  capability
    .When(GenericKind, MESH_CONFIG)
    .IsDeleted()
    .Reconcile(object => {
      actions.reconcile({ kind: MESH_CONFIG.kind, ...nameOf(object) });
    });
  return capability;
}
