import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { auditFiles } from "../../../hack/cluster/audit";
import type { ClusterSettings } from "../../../hack/cluster/settings";

/** A rule of a Role or ClusterRole, as far as it is about resources. */
export interface Rule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

/** One right. */
export interface Right {
  readonly verb: string;
  /** `resource`, or `resource/subresource`. */
  readonly resource: string;
  readonly group: string;
  /** undefined: of all names. */
  readonly name: string | undefined;
}

/** A request of the control plane, as the audit log tells it. */
export interface Asked {
  readonly verb: string;
  readonly resource: string;
  readonly group: string;
  readonly namespace: string;
  readonly name: string;
  readonly uri: string;
  readonly code: number;
  /** Whether it was authorised; an admission or a namespace that goes may refuse what is. */
  readonly authorised: boolean;
  /** Why it was. */
  readonly reason: string;
  /** RFC 3339. */
  readonly at: string;
}

interface AuditEvent {
  readonly verb: string;
  readonly requestURI: string;
  readonly user: { readonly username: string };
  readonly objectRef?: {
    readonly resource?: string;
    readonly subresource?: string;
    readonly apiGroup?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code?: number };
  readonly annotations?: Readonly<Record<string, string>>;
  readonly requestReceivedTimestamp?: string;
}

function askedOf({ verb, requestURI, objectRef, ...event }: AuditEvent): Asked {
  const { resource = "", subresource, apiGroup = "", namespace = "", name = "" } = objectRef ?? {};
  return {
    verb,
    resource: subresource === undefined ? resource : `${resource}/${subresource}`,
    group: apiGroup,
    namespace,
    name,
    uri: requestURI,
    ...outcomeOf(event),
  };
}

function outcomeOf({
  responseStatus,
  annotations = {},
  requestReceivedTimestamp: at = "",
}: Pick<AuditEvent, "responseStatus" | "annotations" | "requestReceivedTimestamp">): Pick<
  Asked,
  "code" | "authorised" | "reason" | "at"
> {
  const { "authorization.k8s.io/decision": decision, "authorization.k8s.io/reason": reason = "" } =
    annotations;
  return { code: responseStatus?.code ?? 0, authorised: decision !== "forbid", reason, at };
}

/** An event of a line; undefined: the line is half written, as the last one may be. */
function eventOf(line: string): AuditEvent | undefined {
  try {
    return JSON.parse(line) as AuditEvent;
  } catch {
    return undefined;
  }
}

/** All requests of an account so far, the oldest first, as far back as the log goes. */
export async function requestsOf(settings: ClusterSettings, username: string): Promise<readonly Asked[]> {
  const asked: Asked[] = [];
  for (const file of auditFiles(settings)) {
    for await (const line of createInterface({ input: createReadStream(file, "utf8") })) {
      const event = eventOf(line);
      if (event?.user.username === username) asked.push(askedOf(event));
    }
  }
  return asked;
}

/** Every single right of some rules, each once. */
export function rightsOf(rules: readonly Rule[]): readonly Right[] {
  const rights = rules.flatMap(({ verbs, resources = [], apiGroups = [], resourceNames }) => {
    const names: readonly (string | undefined)[] = resourceNames ?? [undefined];
    const what = apiGroups.flatMap(group => resources.map(resource => ({ group, resource })));
    return what.flatMap(one => verbs.flatMap(verb => names.map(name => ({ ...one, verb, name }))));
  });
  return [...new Map(rights.map(right => [printed(right), right])).values()];
}

/** A right or a request as a line, like those of the golden file. */
export function printed({ verb, resource, group, name }: Right): string {
  return `${verb} ${resource}${group === "" ? "" : `.${group}`}${name === undefined ? "" : ` [${name}]`}`;
}

/** Whether a request is within a right. */
export function covers(right: Right, asked: Asked): boolean {
  const isOf = right.verb === asked.verb && right.resource === asked.resource && right.group === asked.group;
  return isOf && (right.name === undefined || right.name === asked.name);
}

/** Whether a request has needed a right: the one that it was within, and to create what an apply has made. */
export function uses(right: Right, asked: Asked): boolean {
  if (covers(right, asked)) return true;
  // The API server asks for both, and the log has one line.
  return asked.verb === "patch" && asked.code === 201 && covers(right, { ...asked, verb: "create" });
}
