import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import * as is from "./field";

/** Egress (`policy.openservicemesh.io/v1alpha1`): workloads that may reach destinations outside the mesh. */
export interface EgressSpec {
  readonly sources: readonly {
    readonly kind: "ServiceAccount";
    readonly name: string;
    readonly namespace: string;
  }[];
  readonly hosts?: readonly string[];
  /** IPv4 or IPv6 ranges. */
  readonly ipAddresses?: readonly string[];
  /** Protocols `http`, `https`, `tcp`, `tcp-server-first`, in any case of letters. */
  readonly ports: readonly { readonly number: number; readonly protocol: string }[];
  /** HTTPRouteGroups and at most one UpstreamTrafficSetting of the same namespace. */
  readonly matches?: readonly {
    readonly apiGroup?: string;
    readonly kind: "HTTPRouteGroup" | "UpstreamTrafficSetting";
    readonly name: string;
  }[];
}

/** Group (with version, as OSM's manifests write it) that each kind of `matches` belongs to. */
const GROUPS: ReadonlyMap<unknown, readonly string[]> = new Map([
  ["HTTPRouteGroup", ["specs.smi-spec.io", "specs.smi-spec.io/v1alpha4"]],
  ["UpstreamTrafficSetting", ["policy.openservicemesh.io", "policy.openservicemesh.io/v1alpha1"]],
]);

const match = is.all(
  is.object({ kind: is.word("HTTPRouteGroup", "UpstreamTrafficSetting"), name: is.objectName }, [
    "kind",
    "name",
  ]),
  (value, place) => {
    const { kind, apiGroup } = is.fieldsOf(value);
    const groups = GROUPS.get(kind);
    if (groups === undefined || apiGroup === undefined || apiGroup === null) return;
    if (typeof apiGroup === "string" && groups.includes(apiGroup)) return;
    place
      .at("apiGroup")
      .error(`must be ${groups[1] ?? ""} for kind ${is.textOf(kind) ?? ""}; it is ${is.quote(apiGroup)}`);
  },
);

const oneSetting: is.Check = (value, place) => {
  const settings = is.itemsOf(value).filter(item => is.fieldsOf(item)["kind"] === "UpstreamTrafficSetting");
  if (settings.length > 1)
    place.error(`must name at most one UpstreamTrafficSetting; it names ${settings.length}`);
};

/** A namespaced object speaks of the workloads of its namespace: nobody opens the mesh for those of others. */
const source =
  (own: string | undefined): is.Check =>
  (value, place) => {
    is.object({ kind: is.word("ServiceAccount"), name: is.objectName, namespace: is.labelName }, [
      "kind",
      "name",
      "namespace",
    ])(value, place);
    const namespace = is.textOf(is.fieldsOf(value)["namespace"]);
    if (namespace === undefined || own === undefined || namespace === own) return;
    place.at("namespace").error(`must be ${own}, the namespace of the Egress; it is ${is.quote(namespace)}`);
  };

const spec = (own: string | undefined): is.Check =>
  is.object(
    {
      sources: is.list(source(own), 0, 128),
      hosts: is.list(is.host, 0, 128),
      ipAddresses: is.list(is.cidr, 0, 128),
      ports: is.list(
        is.object({ number: is.port, protocol: is.anyCaseWord("http", "https", "tcp", "tcp-server-first") }, [
          "number",
          "protocol",
        ]),
        0,
        128,
      ),
      matches: is.all(is.list(match, 0, 128), oneSetting),
    },
    ["sources", "ports"],
  );

const check: is.Check = (value, place) => {
  is.specOf(spec(is.namespaceOf(value)))(value, place);
};

/** What is wrong with the fields of an Egress. */
export function validateEgress(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
