/** `osm policy check-conflicts`: objects that contradict each other. */
import { asArray, asObject, asText } from "../../ingest/fields";
import { refText } from "./words";
import type { MeshWorld } from "../offline/world";

/** Objects that speak of the same thing, or a finding about one. */
export interface Conflict {
  /** `Kind namespace/name`. */
  readonly object: string;
  /** The other one, where it is known. */
  readonly other?: string;
  readonly text: string;
}

/** Conflicts among objects of a kind; empty `namespaces`: all. */
export function conflictsOf(
  world: MeshWorld,
  kind: string,
  namespaces: readonly string[],
): readonly Conflict[] {
  const { compiler } = world;
  const within = (namespace: string): boolean => namespaces.length === 0 || namespaces.includes(namespace);
  const found = [...compiler.inputs.graph.peek(compiler.findings).values()].flat();
  const told = found
    .filter(
      ({ code, subject }) =>
        code.startsWith("Conflict") && subject.kind === kind && within(subject.namespace),
    )
    .map(({ subject, message }) => ({ object: refText(subject), text: message }));
  return kind === "IngressBackend" ? [...sharedBackends(world, within), ...told] : told;
}

/** IngressBackends of one namespace that name the same backend and port. */
function sharedBackends(
  { documents }: MeshWorld,
  within: (namespace: string) => boolean,
): readonly Conflict[] {
  const first = new Map<string, string>();
  const found: Conflict[] = [];
  for (const document of documents.values()) {
    const { namespace = "", name } = document.metadata;
    if (document.kind !== "IngressBackend" || !within(namespace)) continue;
    for (const backend of asArray(asObject(document["spec"])["backends"]).map(asObject)) {
      const port = asObject(backend["port"])["number"];
      const what = `${asText(backend["name"]) ?? ""} port ${typeof port === "number" ? port : ""}`;
      const object = `IngressBackend ${namespace}/${name}`;
      const other = first.get(`${namespace}/${what}`);
      if (other === undefined) first.set(`${namespace}/${what}`, object);
      else if (other !== object) found.push({ object, other, text: `both name backend ${what}` });
    }
  }
  return found;
}
