/** What the owner of an ExternalWorkload should know. */
import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";

/** The object of an ExternalWorkload. */
export function externalRef(namespace: string, name: string): ObjectRef {
  return { group: "config.openservicemesh.io", kind: "ExternalWorkload", namespace, name };
}

/** An ExternalWorkload in the mesh as it is now. */
export interface ExternalFacts {
  /** Its ServiceAccount's name. */
  readonly account: string;
  readonly hasAccount: boolean;
  /** Its namespace belongs to the mesh. */
  readonly inMesh: boolean;
  /** Its key has been certified. */
  readonly joined: boolean;
  /** Ports at which Services lead to it. */
  readonly services: number;
}

/**
 * A missing account is no error: an identity is a name, which policies may speak of before there is an account, but it is
 * most often a slip.
 */
export function externalFindings(subject: ObjectRef, facts: ExternalFacts): readonly Diagnostic[] {
  const tell = (field: string, message: string, code = "NoEffect"): Diagnostic => ({
    severity: "warning",
    code,
    subject,
    field,
    message,
  });
  return [
    ...(facts.hasAccount
      ? []
      : [
          tell(
            "spec.serviceAccountName",
            `ServiceAccount ${subject.namespace}/${facts.account} does not exist`,
            "UnresolvedReferenceAccount",
          ),
        ]),
    ...(facts.inMesh ? [] : [tell("metadata.namespace", "its namespace does not belong to the mesh")]),
    ...(facts.joined
      ? []
      : [tell("spec.publicKey", "its proxy has no certificate yet, so it has not joined")]),
    ...(facts.services > 0 || !facts.inMesh
      ? []
      : [tell("metadata.labels", "no port of a Service leads to it")]),
  ];
}
