/** Kubernetes objects out of YAML: several documents, Lists within them, and where each stood. */
import { parseAllDocuments } from "yaml";
import { asArray, asObject, asText, type Json } from "../../ingest/fields";
import { CommandError } from "../failure";

/** An object as it is written, with what every object has. */
export interface KubeDocument extends Json {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Json & { readonly name: string; readonly namespace?: string };
}

/** Kinds that have no namespace, of those the mesh knows. */
const CLUSTER_SCOPED = new Set([
  "Namespace",
  "Node",
  "ClusterRole",
  "ClusterRoleBinding",
  "CustomResourceDefinition",
  "MutatingWebhookConfiguration",
  "ValidatingWebhookConfiguration",
]);

/** `Kind/namespace/name`, or `Kind/name` of a kind without namespaces. */
export function documentKey({ kind, metadata }: KubeDocument): string {
  const { namespace, name } = metadata;
  return namespace === undefined ? `${kind}/${name}` : `${kind}/${namespace}/${name}`;
}

/** How objects are read. */
export interface ReadOptions {
  /** For messages: a file, or `standard input`. */
  readonly source: string;
  /** Of objects that name none. */
  readonly namespace: string;
}

/**
 * All objects of a YAML (or JSON) text. Lists of any kind are taken apart, empty documents left out. Throws
 * {@link CommandError} that names source and document for what is no object of Kubernetes.
 */
export function readDocuments(text: string, options: ReadOptions): readonly KubeDocument[] {
  return parseAllDocuments(text).flatMap((document, index) => {
    const place = `${options.source}, document ${index + 1}`;
    const [fault] = document.errors;
    if (fault !== undefined) throw new CommandError(`${place}: ${fault.message.split("\n")[0] ?? "no YAML"}`);
    const value = document.toJS() as unknown;
    return value === null || value === undefined ? [] : objectsOf(value, { ...options, source: place });
  });
}

function objectsOf(value: unknown, options: ReadOptions): readonly KubeDocument[] {
  const object = asObject(value);
  const kind = asText(object["kind"]);
  const apiVersion = asText(object["apiVersion"]);
  if (kind?.endsWith("List") === true && Array.isArray(object["items"])) {
    const itemKind = kind === "List" ? undefined : kind.slice(0, -"List".length);
    return asArray(object["items"]).flatMap((item, index) =>
      objectsOf(
        { ...(itemKind === undefined ? {} : { kind: itemKind, apiVersion }), ...asObject(item) },
        { ...options, source: `${options.source}, item ${index + 1}` },
      ),
    );
  }
  if (kind === undefined || apiVersion === undefined)
    throw new CommandError(`${options.source}: an object of Kubernetes has apiVersion and kind`);
  return [documentOf({ ...object, kind, apiVersion }, options)];
}

function documentOf(
  object: Json & { readonly kind: string; readonly apiVersion: string },
  { source, namespace }: ReadOptions,
): KubeDocument {
  const { kind } = object;
  const { namespace: written, ...metadata } = asObject(object["metadata"]);
  const name = asText(metadata["name"]);
  if (name === undefined) throw new CommandError(`${source}: ${kind} without metadata.name`);
  const scope = CLUSTER_SCOPED.has(kind) ? {} : { namespace: asText(written) ?? namespace };
  return { ...object, metadata: { ...metadata, name, ...scope } };
}
