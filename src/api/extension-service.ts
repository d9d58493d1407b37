import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import * as is from "./field";

/** ExtensionService (`config.openservicemesh.io/v1alpha2`): a service that proxies themselves call. */
export interface ExtensionServiceSpec {
  readonly host: string;
  readonly port: number;
  /** `h2c` or `http2`: HTTP/2; `http1`: HTTP/1.1; otherwise as the caller speaks. */
  readonly protocol?: string;
  /** Go duration. */
  readonly connectTimeout?: string;
}

const check = is.specOf(
  is.object({ host: is.host, port: is.port, protocol: is.text(32), connectTimeout: is.duration(1) }, [
    "host",
    "port",
  ]),
);

/** What is wrong with the fields of an ExtensionService. */
export function validateExtensionService(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
