import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import * as is from "./field";

/** TCPRoute (`specs.smi-spec.io`): a set of ports; before v1alpha4 it has no spec and means all. */
export interface TcpRouteSpec {
  readonly matches?: {
    readonly name?: string;
    /** Empty or absent: all ports. */
    readonly ports?: readonly number[];
  };
}

const check = is.specOf(
  is.object({ matches: is.object({ name: is.text(253, 0), ports: is.list(is.port) }) }),
  false,
);

/** What is wrong with the fields of a TCPRoute. */
export function validateTcpRoute(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
