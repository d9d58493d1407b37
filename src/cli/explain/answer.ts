/** Asks the evaluator about every way in which a call can go, and puts the answers together. */
import { nodeGroupKey } from "../../catalog/node-groups";
import { ingestPod } from "../../ingest/pod";
import { readTrafficLists } from "../../injector/annotations";
import { planRedirect, type RedirectPlan } from "../../injector/redirect";
import { metaOf } from "../../ingest/fields";
import { covers } from "../../model/cidr";
import { identityKey } from "../../model/identity";
import type { Decision, HttpRequest } from "../../policy/decide";
import { decide } from "../../policy/decide";
import type { Leaf } from "../../policy/types";
import { type Dialled, explain, explainPlain } from "../../runtime/engine/explain";
import type { Compiler, PolicyDescription } from "../../runtime/engine/compiler";
import { documentKey, type KubeDocument } from "../offline/documents";
import type { MeshWorld } from "../offline/world";
import { type Caller, podLabel } from "./callers";
import { type ChainFacts, chainOf, grantsOf, nearestText } from "./chain";
import { decidersOf } from "./deciders";
import type { Destination } from "./destinations";
import type { Case, Decider, End, ExplainRequest, Explanation } from "./request";
import { grantText, listText, reaches, seen } from "./words";

/** A caller as far as its calls may differ: pods with the same configuration are asked about once. */
interface Client {
  readonly pods: readonly KubeDocument[];
  readonly description: PolicyDescription | undefined;
  /** Why no sidecar of its takes the call. */
  readonly without: string | undefined;
}

/** Something that is asked of the evaluator. */
interface Asked {
  readonly world: MeshWorld;
  readonly client: Client;
  readonly to: Destination;
  readonly address: string;
  readonly call: Dialled;
}

/** Explains a call of somebody who has pods. */
export function explainCall(
  world: MeshWorld,
  caller: Caller,
  to: Destination,
  request: ExplainRequest,
): Explanation {
  const http = to.speech === "http" ? httpOf(to, request) : undefined;
  const clients = clientsOf(world, caller.pods, to);
  const all = caller.pods.length * Math.max(1, to.addresses.length);
  const found = clients.flatMap(client =>
    to.addresses.flatMap(address => {
      const source = ingestPod(client.pods[0]).value.ips[0];
      const call: Dialled = {
        address,
        port: to.port,
        ...(source === undefined ? {} : { source }),
        ...(to.speech === "tls" ? { serverName: to.host } : {}),
        ...(http === undefined ? {} : { http }),
      };
      const asked: Asked = { world, client, to, address, call };
      return casesOf(asked, client.pods.length / all, clients.length > 1);
    }),
  );
  const cases = to.addresses.length === 0 ? [nobody(to)] : joined(found.map(({ case: one }) => one));
  const granted = cases.some(({ outcome }) => outcome === "forbidden")
    ? [...new Set(found.flatMap(each => each.granted))]
    : [];
  return conclusion({ caller, to, request: requestText(to, http), cases, granted, notes: world.notes });
}

function httpOf(to: Destination, { method, path, headers }: ExplainRequest): HttpRequest {
  const standard = to.port === 80 || to.port === 443;
  const host = to.host.includes(":") ? `[${to.host}]` : to.host;
  return {
    method: method ?? "GET",
    path: path ?? to.path ?? "/",
    headers: { host: standard ? host : `${host}:${to.port}`, ...headers },
  };
}

function requestText({ speech, host }: Destination, http: HttpRequest | undefined): string {
  if (http === undefined) return speech === "tls" ? `a TLS connection for ${host}` : "a TCP connection";
  const headers = Object.entries(http.headers).filter(([name]) => name !== "host");
  const said = headers.map(([name, value]) => `${name}: ${value}`);
  return `${http.method} ${http.path}${said.length === 0 ? "" : ` with ${listText(said)}`}`;
}

/** Pods by configuration; those whose sidecar lets the call pass it by are on their own. */
function clientsOf(world: MeshWorld, pods: readonly KubeDocument[], to: Destination): readonly Client[] {
  const clients = new Map<string, Client>();
  for (const pod of pods) {
    const { graph } = world.compiler.inputs;
    const description = graph.peek(world.compiler.description(metaOf(pod).uid));
    const without =
      description === undefined
        ? (world.whyNoSidecar(documentKey(pod)) ?? "it has none that counts")
        : passesBy(world, pod, to);
    const taken = without === undefined ? description : undefined;
    const key = taken === undefined ? `plain|${without ?? ""}` : nodeGroupKey(taken.group);
    const known = clients.get(key);
    clients.set(key, { pods: [...(known?.pods ?? []), pod], description: taken, without });
  }
  return [...clients.values()];
}

/** Why the redirect rules of a pod with a sidecar leave a call alone, as MeshConfig and the pod's annotations are now. */
function passesBy({ mesh }: MeshWorld, pod: KubeDocument, to: Destination): string | undefined {
  const lists = readTrafficLists(metaOf(pod).annotations);
  if (!lists.ok) return undefined;
  const plan = planRedirect(mesh.meshConfig, lists.value, []);
  const leaves = to.addresses.some(address => isLeftAlone(plan, address, to.port));
  return leaves ? `its redirect rules exclude ${to.addresses.join(", ")} port ${to.port}` : undefined;
}

function isLeftAlone(plan: RedirectPlan, address: string, port: number): boolean {
  const within = (ranges: RedirectPlan["outboundExcludedRanges"]): boolean =>
    ranges.some(({ text }) => covers(text, address));
  const { outboundIncludedRanges: included } = plan;
  if (plan.outboundExcludedPorts.includes(port) || within(plan.outboundExcludedRanges)) return true;
  return included.length > 0 && !within(included);
}

interface Found {
  readonly case: Case;
  readonly granted: readonly string[];
}

function casesOf(asked: Asked, share: number, named: boolean): readonly Found[] {
  const { world, client } = asked;
  const decision = decisionOf(asked);
  const from = named ? { from: client.pods.map(podLabel) } : {};
  return weighed(asked, decision).map(({ end, share: part }) => {
    const { facts, decides } = factsOf(asked, decision, end);
    const isHttp = facts.http !== undefined;
    const { sees, flag } = seen(end, isHttp);
    const nearest = end.nearest === undefined ? undefined : nearestText(facts);
    const identity = client.description?.group.identity;
    const granted = grantsOf(facts)
      .filter(
        grant => identity !== undefined && grant.identities.map(identityKey).includes(identityKey(identity)),
      )
      .map(grantText);
    return {
      granted,
      case: {
        share: share * part,
        outcome: end.outcome,
        reached: reaches(end),
        sees,
        ...(end.status === undefined || !isHttp ? {} : { status: end.status }),
        ...(flag === undefined ? {} : { flag }),
        ...(facts.pod === undefined ? {} : { pod: facts.pod }),
        ...from,
        steps: chainOf(facts),
        decides,
        ...(nearest === undefined ? {} : { nearest }),
      },
    };
  });

  function decisionOf({ call }: Asked): Decision {
    const uid = metaOf(client.pods[0]).uid;
    const answer = client.description === undefined ? undefined : explain(world.compiler, uid, call);
    return answer ?? explainPlain(world.compiler, call);
  }
}

/** Every end of a decision with its share; where the pods of a backend differ, each pod is asked about. */
function weighed(
  { world, client, call }: Asked,
  decision: Decision,
): readonly { readonly end: End; readonly share: number }[] {
  const { possible } = decision;
  const leaves = client.description?.leaves;
  if (possible.length === 0) return [{ end: decision, share: 1 }];
  if (leaves === undefined) return possible.map(end => ({ end, share: end.share }));
  return possible.map(end => {
    const twins = possible.filter(({ cluster }) => cluster === end.cluster);
    if (twins.length === 1) return { end, share: end.share };
    const like = JSON.stringify([end.outcome, end.status, end.by, end.rule]);
    const ends = alone(world, leaves, { call, cluster: end.cluster, client });
    const as = ends.filter(each => JSON.stringify([each.outcome, each.status, each.by, each.rule]) === like);
    return {
      end,
      share: ends.length === 0 ? end.share / twins.length : (end.share * as.length) / ends.length,
    };
  });
}

/** What happens at each endpoint of a backend, as if it were the only one. */
function alone(
  { compiler }: MeshWorld,
  leaves: readonly Leaf[],
  { call, cluster, client }: { readonly call: Dialled; readonly cluster: string; readonly client: Client },
): readonly End[] {
  const isSet = (leaf: Leaf): boolean => leaf.kind === "endpoint-set" && leaf.name === cluster;
  const set = leaves.find(isSet);
  if (set?.kind !== "endpoint-set") return [];
  const server = (address: string): readonly Leaf[] | undefined =>
    compiler.inputs.graph.peek(compiler.descriptionAt(address))?.leaves;
  return set.endpoints.flatMap(endpoint => {
    const only = leaves.map(leaf => (isSet(leaf) ? { ...set, endpoints: [endpoint] } : leaf));
    const decision = decide({ client: only, server }, { ...call, from: client.description?.group.identity });
    return decision.possible.filter(each => each.cluster === cluster);
  });
}

function factsOf(
  asked: Asked,
  decision: Decision,
  end: End,
): { readonly facts: ChainFacts; readonly decides: readonly Decider[] } {
  const { world, client, to, address, call } = asked;
  const { compiler } = world;
  const at = end.destination?.address ?? address;
  const server = compiler.inputs.graph.peek(compiler.descriptionAt(at));
  const meshed = client.description !== undefined;
  const unpicked = isUnpicked(asked);
  const decides = decidersOf(end, {
    world,
    serverNamespace: server?.group.identity.namespace,
    meshed: meshed && !isBeyond(decision, end),
    untold: client.description?.group.view.scope !== undefined && isOfMesh(compiler, at),
    unpicked,
  });
  const facts: ChainFacts = {
    caller: callerText(client.pods),
    client: client.description?.leaves,
    without: client.without,
    identity: identityText(client),
    to,
    address,
    http: call.http,
    decision,
    end,
    server,
    // Where what leaves the mesh arrives is not known: names may lead elsewhere.
    pod: meshed && end.outcome === "passthrough" ? undefined : podAt(world, at),
    unpicked,
    decided: listText(decides.map(deciderText)),
  };
  return { facts, decides };
}

function deciderText({ object, field }: Decider): string {
  return field === undefined ? object : `${object}, ${field}`;
}

function callerText(pods: readonly KubeDocument[]): string {
  const [first, ...others] = pods;
  if (first === undefined) return "nobody";
  return others.length === 0 ? podLabel(first) : `${podLabel(first)} (and ${others.length} more like it)`;
}

function identityText({ description }: Client): string {
  if (description === undefined) return "nobody (no certificate of the mesh)";
  return identityKey(description.group.identity);
}

function podAt({ compiler }: MeshWorld, address: string): string | undefined {
  const found = [...compiler.inputs.pods.rows].find(([, pod]) => pod.ips.includes(address));
  return found?.[0].replace("/external:", "/");
}

/** Whether an address is that of a Service or a pod that sidecars are told of. */
function isOfMesh({ inputs: { graph }, catalog: { owners } }: Compiler, address: string): boolean {
  const keys = [owners.service(address), owners.pod(address)].map(owner => graph.peek(owner));
  return keys.some(key => key !== undefined);
}

/** Whether a pod's own address is called that the caller's sidecar has no listener for, though Services lead to the port. */
function isUnpicked({ world: { compiler }, client: { description }, address, to }: Asked): boolean {
  const { graph } = compiler.inputs;
  const { owners, nodeGroups } = compiler.catalog;
  const key = graph.peek(owners.pod(address));
  if (description === undefined || key === undefined) return false;
  const isLed = description.leaves.some(
    leaf => leaf.kind === "outbound-listener" && leaf.port === to.port && leaf.addresses.includes(address),
  );
  return !isLed && graph.peek(nodeGroups.served(key)).some(({ port }) => port === to.port);
}

/** Whether the caller's sidecar has let it pass, and only what lies behind decides. */
function isBeyond(decision: Decision, end: End): boolean {
  return decision.steps.some(step => step === "takes no plaintext") && end.outcome === "refused";
}

function nobody(to: Destination): Case {
  return {
    share: 1,
    outcome: "unavailable",
    reached: false,
    sees: "the name stands for no address",
    steps: [{ at: "backend", text: `${to.what} has no pod that is ready` }],
    decides: to.service === undefined ? [] : [{ object: `Service ${to.service}` }],
  };
}

/** Cases that say the same are one. */
function joined(cases: readonly Case[]): readonly Case[] {
  const same = new Map<string, Case>();
  for (const one of cases) {
    const { share, steps } = one;
    const backend = steps.find(({ at }) => at === "backend")?.text.split(":")[0];
    const key = JSON.stringify([{ ...one, share: 0, steps: [], pod: "" }, backend]);
    const known = same.get(key);
    same.set(key, known === undefined ? one : { ...known, share: known.share + share });
  }
  return [...same.values()].sort((a, b) => b.share - a.share);
}

interface Concluded {
  readonly caller: Caller;
  readonly to: Destination;
  readonly request: string;
  readonly cases: readonly Case[];
  readonly granted: readonly string[];
  readonly notes: readonly string[];
}

function conclusion({ caller, to, request, cases, granted, notes }: Concluded): Explanation {
  const reached = cases.filter(one => one.reached);
  const verdict = reached.length === cases.length ? "delivered" : reached.length === 0 ? "refused" : "partly";
  return {
    from: caller.what,
    to: to.what,
    request,
    verdict,
    summary: summaryOf(verdict, cases),
    cases,
    granted,
    notes: [...to.notes, ...notes],
  };
}

function summaryOf(verdict: Explanation["verdict"], cases: readonly Case[]): string {
  const [first] = cases;
  if (first === undefined) return "";
  if (verdict === "partly") {
    const reached = cases.filter(one => one.reached).reduce((sum, { share }) => sum + share, 0);
    return `${Math.round(reached * 1000) / 10} % of such calls reach an application`;
  }
  const [decides] = first.decides;
  const by = decides === undefined ? "" : `, by ${deciderText(decides)}`;
  if (verdict === "refused") return `${OUTCOMES[first.outcome]}: ${first.sees}${by}`;
  return `${first.outcome === "passthrough" ? "leaves the mesh as it is" : "delivered"}${by}`;
}

const OUTCOMES = {
  delivered: "delivered",
  passthrough: "let out",
  refused: "refused",
  unavailable: "nobody is ready to answer",
  "no-backend": "there is no backend",
  malformed: "the path cannot be judged",
  "no-rule": "no route rule matches",
  forbidden: "forbidden",
  "wrong-server": "who answers is not who may answer",
} as const;
