import type { Capability } from "pepr";
import type { MeshActions } from "../src/runtime/control-plane/actions";
import { certificates } from "./certificates";
import { injector } from "./injector";
import { meshConfig } from "./mesh-config";
import { trafficPolicy } from "./traffic-policy";

/** Everything Pepr calls the mesh for. Bindings say when; what is done is in `actions`. */
export function capabilities(actions: MeshActions): Capability[] {
  return [injector(actions), meshConfig(actions), trafficPolicy(actions), certificates(actions)];
}
