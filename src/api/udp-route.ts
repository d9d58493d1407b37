import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import * as is from "./field";

/** UDPRoute (`specs.smi-spec.io/v1alpha4`): a set of UDP ports. The mesh carries TCP only. */
export interface UdpRouteSpec {
  readonly matches?: { readonly name?: string; readonly ports?: readonly number[] };
}

const check = is.all(
  is.specOf(is.object({ matches: is.object({ name: is.text(253, 0), ports: is.list(is.port) }) }), false),
  (_, place) => {
    place.warn("has no effect: the mesh carries TCP, UDP passes beside it");
  },
);

/** What is wrong with the fields of a UDPRoute, and that it has no effect. */
export function validateUdpRoute(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
