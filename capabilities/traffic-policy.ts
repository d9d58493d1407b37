import { Capability } from "pepr";
import type { MeshActions } from "../src/runtime/control-plane/actions";
import { bindCustomKind } from "./bindings";
import { policyKinds } from "./kinds";

/** SMI and the mesh's own policies: refused when wrong, their status written. */
export function trafficPolicy(actions: MeshActions): Capability {
  const capability = new Capability({
    name: "traffic-policy",
    description: "Validates and reports on traffic policies",
  });
  for (const kind of policyKinds()) bindCustomKind(capability, actions, kind);
  return capability;
}
