/** `osm migrate check`: what of an installation of Open Service Mesh carries over, and what changes. */
import { apiKind, validateCustomObject } from "../../api/kinds";
import { asArray, asObject, asTextMap, metaOf } from "../../ingest/fields";
import {
  ANNOTATION_INJECTION,
  ANNOTATION_METRICS,
  LABEL_IGNORE,
  LABEL_MONITORED_BY,
  LABEL_PROXY_UUID,
  SIDECAR_CONTAINER,
} from "../../model/mesh-words";
import { documentKey, type KubeDocument } from "../offline/documents";

/** What becomes of an object. */
export interface Migration {
  /** `Kind/namespace/name`. */
  readonly object: string;
  /**
   * `carries-over`: as it is. `changes`: it works, and does something else than it did. `action`: somebody must do something.
   * `refused`: the mesh does not take it as it is.
   */
  readonly verdict: "carries-over" | "changes" | "action" | "refused";
  /** What to know or to do, one sentence each. */
  readonly notes: readonly string[];
}

type Verdict = Migration["verdict"];

const ORDER: readonly Verdict[] = ["carries-over", "changes", "action", "refused"];

interface Remark {
  readonly verdict: Verdict;
  readonly text: string;
}

/** Deployments of OSM's control plane and add-ons, and their webhook configurations. */
const CONTROL_PLANE = /^osm-(controller|injector|bootstrap|prometheus|grafana)$|^jaeger$/;
const WEBHOOKS = /^(osm-webhook-|osm-validator)/;

/** What is to be known of a kind, whatever its fields; from `docs/reference` and the decision records. */
const OF_KIND: Readonly<Record<string, readonly Remark[]>> = {
  MultiClusterService: [
    { verdict: "refused", text: "MultiClusterService was taken out of OSM in v1.2 and is not there here" },
  ],
  ServiceExport: [{ verdict: "refused", text: "nothing reads it, as in OSM" }],
  ServiceImport: [{ verdict: "refused", text: "nothing reads it, as in OSM" }],
  TrafficTarget: [
    {
      verdict: "changes",
      text: "a caller that no TrafficTarget names is answered 403; OSM gave it no route, so its connection was refused",
    },
  ],
  TrafficSplit: [
    { verdict: "carries-over", text: "it grants nothing: the callers need access to every backend" },
  ],
  MeshRootCertificate: [
    {
      verdict: "changes",
      text: "SPIFFE names are /ns/<namespace>/sa/<account>; whatever checks OSM's form of them must be told",
    },
  ],
};

/** Says of each object of an installation what becomes of it; kinds that no mesh has a part in are left out. */
export function checkMigration(documents: readonly KubeDocument[]): readonly Migration[] {
  const wholePaths = documents.some(
    document =>
      document.kind === "MeshConfig" &&
      asObject(asObject(document["spec"])["traffic"])["pathRegexMatch"] === "Full",
  );
  return documents.flatMap(document => {
    const remarks = remarksOf(document, wholePaths);
    if (remarks === undefined) return [];
    const worst = Math.max(0, ...remarks.map(({ verdict }) => ORDER.indexOf(verdict)));
    return [
      {
        object: documentKey(document),
        verdict: ORDER[worst] ?? "carries-over",
        notes: remarks.map(({ text }) => text),
      },
    ];
  });
}

/** undefined: the mesh has no part in it. */
function remarksOf(document: KubeDocument, wholePaths: boolean): readonly Remark[] | undefined {
  const { kind } = document;
  const known = OF_KIND[kind];
  if (apiKind(kind) !== undefined) {
    const more = kind === "MeshConfig" ? meshConfigRemarks(document) : [];
    const paths = kind === "HTTPRouteGroup" && !wholePaths ? pathRemarks(document) : [];
    return [...fieldRemarks(document), ...more, ...paths, ...(known ?? [])];
  }
  return known ?? OF_CLUSTER.get(kind)?.(document);
}

/** Kinds of Kubernetes that an installation is made of. */
const OF_CLUSTER = new Map<string, (document: KubeDocument) => readonly Remark[] | undefined>([
  ["Namespace", namespaceRemarks],
  ["Pod", podRemarks],
  ["Secret", secretRemarks],
  [
    "Deployment",
    named(CONTROL_PLANE, "part of OSM's own control plane: uninstall OSM before pods are created anew"),
  ],
  [
    "MutatingWebhookConfiguration",
    named(WEBHOOKS, "OSM's: delete it, or two injectors answer for the same pods"),
  ],
  [
    "ValidatingWebhookConfiguration",
    named(WEBHOOKS, "OSM's: delete it, or nobody answers for the objects it asks about"),
  ],
]);

function named(name: RegExp, text: string): (document: KubeDocument) => readonly Remark[] | undefined {
  return ({ metadata }) => (name.test(metadata.name) ? [{ verdict: "action", text }] : undefined);
}

/** What the mesh's own validation finds. */
function fieldRemarks(document: KubeDocument): readonly Remark[] {
  return validateCustomObject(document.kind, document).map(({ severity, field, message }) => ({
    verdict: severity === "error" ? "refused" : "changes",
    text: field === undefined ? message : `${field}: ${message}`,
  }));
}

/** Defaults and readings that are others here than they were in OSM. */
function meshConfigRemarks(document: KubeDocument): readonly Remark[] {
  const spec = asObject(document["spec"]);
  const remarks: Remark[] = [];
  if (asObject(spec["sidecar"])["tlsMinProtocolVersion"] === undefined)
    remarks.push({
      verdict: "changes",
      text: "the lowest TLS version is 1.3 unless sidecar.tlsMinProtocolVersion says another; OSM's was 1.2",
    });
  if (asObject(spec["traffic"])["enablePermissiveTrafficPolicyMode"] !== true)
    remarks.push({
      verdict: "changes",
      text: "without permissive mode a TCP port that no TrafficTarget opens is closed; in OSM it was open to callers that got there",
    });
  return remarks;
}

/** Whether a pattern says itself where a path ends, so that it allows the same by its beginning as in full. */
function endsItself(pattern: string): boolean {
  let flat = pattern.replaceAll(/\\./gs, "x").replaceAll(/\[\^?\]?[^\]]*\]/g, "x");
  flat = flat.replace(/^\(([^()]*)\)$/, "$1");
  for (let before = ""; before !== flat; ) {
    before = flat;
    flat = flat.replaceAll(/\([^()]*\)/g, "x");
  }
  return flat.split("|").every(part => /(\.\*|\$)$/.test(part));
}

/** OSM matched paths in full; here a pattern is met by every path that begins so, which allows more. */
function pathRemarks(document: KubeDocument): readonly Remark[] {
  const inSpec = document["spec"] !== undefined && document["spec"] !== null;
  const matches = asArray((inSpec ? asObject(document["spec"]) : document)["matches"]).map(asObject);
  return matches.flatMap(({ pathRegex }, index) => {
    if (typeof pathRegex !== "string" || pathRegex === "" || endsItself(pathRegex)) return [];
    const field = `${inSpec ? "spec." : ""}matches[${index}].pathRegex`;
    const text = `${field} (${pathRegex}) allows every path that begins so, and in OSM only the whole path; traffic.pathRegexMatch: Full keeps OSM's reading`;
    return [{ verdict: "changes", text }];
  });
}

const MARKS: readonly string[] = [LABEL_MONITORED_BY, LABEL_IGNORE, ANNOTATION_INJECTION, ANNOTATION_METRICS];

function namespaceRemarks(document: KubeDocument): readonly Remark[] | undefined {
  const { labels, annotations } = metaOf(document);
  const words = [...Object.keys(labels), ...Object.keys(annotations)].filter(name => MARKS.includes(name));
  if (words.length === 0) return undefined;
  return [
    { verdict: "carries-over", text: `labels and annotations mean what they meant: ${words.join(", ")}` },
  ];
}

/** A pod that was given OSM's sidecar, which asks OSM's controller for its configuration. */
function podRemarks(document: KubeDocument): readonly Remark[] | undefined {
  if (asTextMap(document.metadata["labels"])[LABEL_PROXY_UUID] === undefined) return undefined;
  const spec = asObject(document["spec"]);
  const all = [...asArray(spec["initContainers"]), ...asArray(spec["containers"])].map(asObject);
  const volumes = asArray(spec["volumes"]).map(asObject);
  const isOld = volumes.some(({ name }) => name === "envoy-bootstrap-config-volume");
  if (!all.some(({ name }) => name === SIDECAR_CONTAINER) || !isOld) return undefined;
  return [
    {
      verdict: "action",
      text: "it has OSM's sidecar: restart its workload, so that it is given this mesh's",
    },
  ];
}

function secretRemarks({ metadata }: KubeDocument): readonly Remark[] | undefined {
  if (metadata.name === "osm-ca-bundle") {
    const text =
      "a root certificate and key in the mesh's own namespace are taken as this mesh's root, as they are; delete it first if a new root is wanted";
    return [{ verdict: "changes", text }];
  }
  if (!metadata.name.startsWith("envoy-bootstrap-config-")) return undefined;
  return [
    {
      verdict: "action",
      text: "bootstrap of one of OSM's sidecars: not needed any more once its pod is gone",
    },
  ];
}
