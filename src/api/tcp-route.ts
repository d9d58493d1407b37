import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import * as is from "./field";

/** Ports; empty or absent: all. */
export interface PortMatch {
  readonly name?: string;
  readonly ports?: readonly number[];
}

/** One object in the specification, a list of such in some manifests; each of a list counts. */
export type PortMatches = PortMatch | readonly PortMatch[];

/** TCPRoute (`specs.smi-spec.io`): a set of ports; before v1alpha4 it has no spec and means all. */
export interface TcpRouteSpec {
  readonly matches?: PortMatches;
}

const portMatch = is.object({ name: is.text(253, 0), ports: is.list(is.port, 0, 200) });

/** Ports in either form. */
export const portMatches: is.Check = (value, place) => {
  (Array.isArray(value) ? is.list(portMatch, 0, 50) : portMatch)(value, place);
};

const check = is.specOf(is.object({ matches: portMatches }), false);

/** What is wrong with the fields of a TCPRoute. */
export function validateTcpRoute(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
