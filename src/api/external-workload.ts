import { addressFamily } from "../model/cidr";
import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import { isP256Key } from "../model/p256";
import * as is from "./field";

/**
 * ExternalWorkload (`config.openservicemesh.io/v1alpha2`): an application outside of the cluster, with a proxy of the mesh
 * beside it. Its labels let Services of its namespace select it, as they select pods.
 */
export interface ExternalWorkloadSpec {
  /** Its identity: an account of its namespace. Never changed. */
  readonly serviceAccountName: string;
  /** Where pods reach it: one address of each family at most. */
  readonly addresses: readonly string[];
  /** Ports by name, for Services whose target port is a name. */
  readonly ports?: readonly { readonly name: string; readonly port: number }[];
  /** What its proxy proves itself with: the P-256 SubjectPublicKeyInfo, DER in base64. Absent: it cannot join yet. */
  readonly publicKey?: string;
}

/** Addresses that never lead to another machine, or to one machine only: this host, link-local, multicast, unspecified. */
const NOWHERE =
  /^(0\.|127\.|169\.254\.|22[4-9]\.|23\d\.|24\d\.|25\d\.|::1?$|fe[89ab][0-9a-f]:|ff[0-9a-f]{2}:|::ffff:)/i;

const address: is.Check = (value, place) => {
  const text = is.textOf(value) ?? "";
  if (addressFamily(text) === undefined)
    place.error(`must be an IPv4 or IPv6 address; it is ${is.quote(value)}`);
  else if (NOWHERE.test(text))
    place.error(`must lead to the workload's machine; ${is.quote(value)} does not`);
};

const onePerFamily: is.Check = (value, place) => {
  const families = is.itemsOf(value).map(item => addressFamily(is.textOf(item) ?? ""));
  if (new Set(families).size < families.length) place.error("must have at most one address of each family");
};

const distinctNames: is.Check = (value, place) => {
  const seen = new Set<unknown>();
  is.itemsOf(value).forEach((item, index) => {
    const { name } = is.fieldsOf(item);
    if (seen.has(name))
      place
        .at(index)
        .at("name")
        .error(`is given twice: ${is.quote(name)}`);
    seen.add(name);
  });
};

const portName = is.textLike(
  "a name of at most 15 lower-case letters, digits and -",
  text => text.length <= 15 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(text) && /[a-z]/.test(text),
);

const check = is.specOf(
  is.object(
    {
      serviceAccountName: is.objectName,
      addresses: is.all(is.list(address, 1, 2), onePerFamily),
      ports: is.all(
        is.list(is.object({ name: portName, port: is.port }, ["name", "port"]), 0, 64),
        distinctNames,
      ),
      publicKey: is.textLike("a P-256 public key (SubjectPublicKeyInfo, DER in base64)", isP256Key),
    },
    ["serviceAccountName", "addresses"],
  ),
);

/** What is wrong with the fields of an ExternalWorkload. */
export function validateExternalWorkload(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
