import type { IdentityBinding, SubjectSelector, TargetRule, TrafficTarget } from "../model/traffic";
import type { Json } from "./fields";
import { asArray, asObject, asPort, asText, asTextMap } from "./fields";
import type { Item, Reading } from "./policy-object";
import { headOf, identityOf, policyIngest } from "./policy-object";

const GROUP = "access.smi-spec.io";

/** A TrafficTarget of any version. Without `spec` (v1alpha1) its rules are called `specs`. */
export const ingestTrafficTarget = policyIngest<TrafficTarget>({
  group: GROUP,
  kind: "TrafficTarget",
  top: true,
  // One source or rule less opens nothing.
  itemLists: ["sources", "rules", "specs"],
  read: reading => {
    const destination = asObject(reading.body["destination"]);
    return {
      ...headOf(reading),
      destination: subjectOf(destination, reading.namespace),
      port: asPort(destination["port"]),
      sources: reading.items("sources").map(({ json }) => subjectOf(json, reading.namespace)),
      rules: [...reading.items("rules"), ...reading.items("specs")].flatMap(item => ruleOf(item, reading)),
    };
  },
});

function subjectOf(json: Json, ownNamespace: string): SubjectSelector {
  const identity = identityOf(json, ownNamespace);
  if (json["kind"] !== "IdentityBinding") return { kind: "identity", identity };
  return { kind: "binding", binding: `${identity.namespace}/${identity.serviceAccount}` };
}

function ruleOf({ json, field }: Item, reading: Reading): readonly TargetRule[] {
  const key = reading.own(json["name"]);
  switch (json["kind"]) {
    case "HTTPRouteGroup": {
      const matches = asArray(json["matches"]).flatMap(name => asText(name) ?? []);
      // An absent list and an empty one both mean every match of the group (SMI: `matches` is optional).
      return [{ kind: "http", group: key, matches: matches.length === 0 ? undefined : matches, field }];
    }
    case "TCPRoute":
      return [{ kind: "tcp", route: key, field }];
    case "UDPRoute":
      return [{ kind: "udp", route: key, field }];
    default:
      return [];
  }
}

/** Workload identities: `<trust domain>/ns/<namespace>/sa/<account>`, with or without its scheme. */
const WORKLOAD = /^(?:spiffe:\/\/)?[^/]+\/ns\/([^/]+)\/sa\/([^/]+)$/;

/** An IdentityBinding. What it names outside its own namespace is left out by validation. */
export const ingestIdentityBinding = policyIngest<IdentityBinding>({
  group: GROUP,
  kind: "IdentityBinding",
  read: reading => {
    const schemes = asObject(reading.body["schemes"]);
    const { namespace } = reading;
    const labels = asTextMap(asObject(schemes["podLabelSelector"])["matchLabels"]);
    const account = asText(schemes["serviceAccount"]);
    const subjects: SubjectSelector[] = asArray(schemes["spiffeIdentities"]).flatMap(uri => {
      const [, ns, serviceAccount] = WORKLOAD.exec(asText(uri) ?? "") ?? [];
      if (ns !== namespace || serviceAccount === undefined) return [];
      return [{ kind: "identity", identity: { namespace, serviceAccount } }];
    });
    if (account !== undefined)
      subjects.push({ kind: "identity", identity: { namespace, serviceAccount: account } });
    if (Object.keys(labels).length > 0) subjects.push({ kind: "pods", namespace, labels });
    return { ...headOf(reading), subjects };
  },
});
