import { Capability } from "pepr";
import type { MeshActions } from "../src/runtime/control-plane/actions";
import { bindCustomKind } from "./bindings";
import { kindsNamed, MESH_ROOT_CERTIFICATE } from "./kinds";

/** Roots of trust, and the minute tick that renews certificates (in the watcher only). */
export function certificates(actions: MeshActions): Capability {
  const capability = new Capability({
    name: "certificates",
    description: "Validates roots of trust and renews certificates",
  });
  for (const kind of kindsNamed(name => name === MESH_ROOT_CERTIFICATE)) {
    bindCustomKind(capability, actions, kind);
  }
  capability.OnSchedule({
    name: "rotation",
    every: 1,
    unit: "minutes",
    // Pepr does not await it, and a rejection would end the process: `tick` never rejects.
    run: () => void actions.tick(),
  });
  return capability;
}
