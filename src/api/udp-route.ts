import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import * as is from "./field";
import type { PortMatches } from "./tcp-route";
import { portMatches } from "./tcp-route";

/** UDPRoute (`specs.smi-spec.io/v1alpha4`): a set of UDP ports. The mesh carries TCP only. */
export interface UdpRouteSpec {
  readonly matches?: PortMatches;
}

const check = is.all(is.specOf(is.object({ matches: portMatches }), false), (_, place) => {
  place.warn("has no effect: the mesh carries TCP, UDP passes beside it", is.NO_EFFECT);
});

/** What is wrong with the fields of a UDPRoute, and that it has no effect. */
export function validateUdpRoute(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
