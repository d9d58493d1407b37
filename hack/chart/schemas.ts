/** JSON schemas of values that are pieces of Kubernetes objects: as strict as the API where that is short, so that a typing error is told by its name. */

/** An object with these fields and no others. */
export function closed(properties: Readonly<Record<string, object>>, ...required: string[]): object {
  return {
    type: "object",
    additionalProperties: false,
    properties,
    ...(required.length === 0 ? {} : { required }),
  };
}

const text = { type: "string", minLength: 1 };
const list = (items: object): object => ({ type: "array", items });
const counted = { type: "integer", minimum: 1 };

/** CPU or memory, as `osm install --set` takes it too. */
export const QUANTITY = { type: "string", pattern: "^[0-9]+(\\.[0-9]+)?(m|Ki|Mi|Gi|Ti|k|M|G|T)?$" };
/** An image's name. */
export const IMAGE = { type: "string", minLength: 1, pattern: "^\\S+$" };
/** A DNS label. */
export const LABEL = { type: "string", pattern: "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" };
/** A DNS name in lower case. */
export const DOMAIN = { type: "string", pattern: "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", maxLength: 253 };
/** Share of a request in percent; 0 is allowed where it means "not looked at". */
export const PERCENT = { type: "integer", minimum: 0, maximum: 100 };

/** Labels by which something is selected or that something gets. */
export const LABELS = { type: "object", additionalProperties: { type: "string", maxLength: 63 } };

const SELECTOR = closed({
  matchLabels: LABELS,
  matchExpressions: list(
    closed(
      {
        key: text,
        operator: { enum: ["In", "NotIn", "Exists", "DoesNotExist"] },
        values: list({ type: "string" }),
      },
      "key",
      "operator",
    ),
  ),
});

/** Requests and limits, all four of them. */
export const RESOURCES = closed(
  Object.fromEntries(
    ["requests", "limits"].map(part => [part, closed({ cpu: QUANTITY, memory: QUANTITY }, "cpu", "memory")]),
  ),
  "requests",
  "limits",
);

/** Names of pull secrets. */
export const PULL_SECRETS = list(closed({ name: { ...text, maxLength: 253 } }, "name"));

/** Labels of pods; those that Pepr's Services and Deployments select by are not to be set. */
export const POD_LABELS = {
  ...LABELS,
  propertyNames: { not: { enum: ["app", "pepr.dev/controller"] } },
};

/** A pod's tolerations. */
export const TOLERATIONS = list(
  closed({
    key: text,
    operator: { enum: ["Exists", "Equal"] },
    value: { type: "string" },
    effect: { enum: ["NoSchedule", "PreferNoSchedule", "NoExecute"] },
    tolerationSeconds: { type: "integer", minimum: 0 },
  }),
);

const kinds = ["nodeAffinity", "podAffinity", "podAntiAffinity"];
/** A pod's affinity; its three parts are the API server's to check. */
export const AFFINITY = closed(Object.fromEntries(kinds.map(kind => [kind, { type: "object" }])));

const policy = { enum: ["Honor", "Ignore"] };
/** A pod's topology spread constraints. */
export const SPREAD = list(
  closed(
    {
      maxSkew: counted,
      topologyKey: text,
      whenUnsatisfiable: { enum: ["DoNotSchedule", "ScheduleAnyway"] },
      labelSelector: SELECTOR,
      minDomains: counted,
      matchLabelKeys: list(text),
      nodeAffinityPolicy: policy,
      nodeTaintsPolicy: policy,
    },
    "maxSkew",
    "topologyKey",
    "whenUnsatisfiable",
  ),
);

/** Who may come in, as a NetworkPolicy says it. */
export const PEERS = list({
  ...closed({
    podSelector: SELECTOR,
    namespaceSelector: SELECTOR,
    ipBlock: closed({ cidr: text, except: list(text) }, "cidr"),
  }),
  minProperties: 1,
});
