/** An API object that the mesh creates for itself, with the metadata it is found by. */
export interface InstallObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    /** Given: the object is only written over this very version of it, and else it is a conflict. */
    readonly resourceVersion?: string;
  };
  readonly [field: string]: unknown;
}

/** Plurals that are not the lower-case kind with an "s". */
const PLURALS: Readonly<Record<string, string>> = {
  NetworkPolicy: "networkpolicies",
  ValidatingAdmissionPolicy: "validatingadmissionpolicies",
};

/** The API path of an object's collection, like `/api/v1/namespaces/osm-system/secrets`. */
export function collectionPath(object: Pick<InstallObject, "apiVersion" | "kind" | "metadata">): string {
  const root = object.apiVersion.includes("/") ? `/apis/${object.apiVersion}` : `/api/${object.apiVersion}`;
  const plural = PLURALS[object.kind] ?? `${object.kind.toLowerCase()}s`;
  const namespace = object.metadata.namespace;
  return namespace === undefined ? `${root}/${plural}` : `${root}/namespaces/${namespace}/${plural}`;
}

/** The API path of the object itself. */
export function objectPath(object: Pick<InstallObject, "apiVersion" | "kind" | "metadata">): string {
  return `${collectionPath(object)}/${object.metadata.name}`;
}
