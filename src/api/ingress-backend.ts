import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import * as is from "./field";

/** IngressBackend (`policy.openservicemesh.io/v1alpha1`): ports of meshed workloads that an ingress may reach. */
export interface IngressBackendSpec {
  readonly backends: readonly {
    readonly name: string;
    /** `number` is the target port of the Service; protocol `http` or `https` in any case of letters. */
    readonly port: { readonly number: number; readonly protocol: string };
    readonly tls?: { readonly skipClientCertValidation: boolean; readonly sniHosts?: readonly string[] };
  }[];
  readonly sources: readonly {
    readonly kind: "Service" | "AuthenticatedPrincipal" | "IPRange";
    readonly name: string;
    readonly namespace?: string;
  }[];
  readonly matches?: readonly { readonly apiGroup?: string; readonly kind: string; readonly name: string }[];
}

const source: is.Check = (value, place) => {
  is.object({ kind: is.word("Service", "AuthenticatedPrincipal", "IPRange"), name: is.text(253) }, [
    "kind",
    "name",
  ])(value, place);
  const { kind, name, namespace } = is.fieldsOf(value);
  if (kind === "IPRange") is.cidr(name, place.at("name"));
  if (kind !== "Service") return;
  is.labelName(name, place.at("name"));
  is.labelName(namespace, place.at("namespace"));
};

const backend = is.object(
  {
    name: is.labelName,
    port: is.object({ number: is.port, protocol: is.anyCaseWord("http", "https") }, ["number", "protocol"]),
    tls: is.object({ skipClientCertValidation: is.flag, sniHosts: is.list(is.host, 0, 128) }, [
      "skipClientCertValidation",
    ]),
  },
  ["name", "port"],
);

const noDuplicates: is.Check = (value, place) => {
  const seen = new Set<string>();
  is.itemsOf(value).forEach((item, index) => {
    const { name, port } = is.fieldsOf(item);
    const key = `${is.quote(name)} on port ${is.quote(is.fieldsOf(port)["number"])}`;
    if (seen.has(key)) place.at(index).error(`repeats the backend ${key}`);
    seen.add(key);
  });
};

/** With client certificates checked, somebody must be named whose certificate is good. */
const principalForTls: is.Check = (value, place) => {
  const { backends, sources } = is.fieldsOf(value);
  if (is.itemsOf(sources).some(item => is.fieldsOf(item)["kind"] === "AuthenticatedPrincipal")) return;
  is.itemsOf(backends).forEach((item, index) => {
    const { port, tls } = is.fieldsOf(item);
    const secure = is.textOf(is.fieldsOf(port)["protocol"])?.toLowerCase() === "https";
    if (!secure || is.fieldsOf(tls)["skipClientCertValidation"] === true) return;
    place
      .at("backends")
      .at(index)
      .error("checks client certificates, so spec.sources needs one of kind AuthenticatedPrincipal");
  });
};

const check = is.specOf(
  is.all(
    is.object(
      {
        backends: is.all(is.list(backend, 0, 128), noDuplicates),
        sources: is.list(source, 0, 128),
        matches: is.list(
          is.object({ kind: is.word("HTTPRouteGroup"), name: is.objectName }, ["kind", "name"]),
          0,
          64,
        ),
      },
      ["backends", "sources"],
    ),
    principalForTls,
  ),
);

/** What is wrong with the fields of an IngressBackend. */
export function validateIngressBackend(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
