/** What is called: a Service, a pod or a host outside, as a person or an application names it. */
import { isIP } from "node:net";
import { tcpPortsOf } from "../../catalog/node-groups";
import { asArray, asObject, asText } from "../../ingest/fields";
import { ingestEndpointSlice } from "../../ingest/endpoint-slice";
import { ingestPod } from "../../ingest/pod";
import { ingestService } from "../../ingest/service";
import type { MeshService, ServicePort } from "../../model/workload";
import { selectProtocol } from "../../policy/protocol";
import type { KubeDocument } from "../offline/documents";
import { CommandError } from "../failure";
import { serviceOfSlice } from "../offline/services";
import type { MeshWorld } from "../offline/world";
import { namespacesOf } from "./callers";

/** How the bytes look to a sidecar. */
export type Speech = "http" | "tls" | "bytes";

/** Where a call goes. */
export interface Destination {
  /** Like `Service bookstore/bookstore port 14001`. */
  readonly what: string;
  /** Service key; absent: none is called by name. */
  readonly service?: string;
  /** Name that is dialled. */
  readonly host: string;
  /** What the name stands for: one address, several of a headless Service. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly speech: Speech;
  /** Of a URL; absent: none was given. */
  readonly path?: string;
  /** What was assumed of it, one sentence each. */
  readonly notes: readonly string[];
}

/** Stands for a host outside of which only the name is known (RFC 5737). */
const SOMEWHERE = "192.0.2.1";
const MAX_PORT = 65_535;
const UNKNOWN =
  "what DNS answers for the host is not known here (--address says it), so 192.0.2.1 stands for it";

const SCHEMES: Readonly<Record<string, Speech>> = {
  http: "http",
  h2: "http",
  grpc: "http",
  https: "tls",
  tls: "tls",
  tcp: "bytes",
};

interface Written {
  readonly text: string;
  readonly speech: Speech | undefined;
  readonly host: string;
  /** Number or name. */
  readonly port: string | undefined;
  readonly path: string | undefined;
}

const SCHEME = /^([a-z0-9]+):\/\/(.*)$/;
const PORT = "(?::([A-Za-z0-9-]+))?";
/** With a scheme, what follows a slash is a path; without, `namespace/name` may stand, as OSM's commands write it. */
const URL_REST = new RegExp(`^(?:\\[([0-9a-fA-F:]+)\\]|([^/:]+))${PORT}(/.*)?$`);
const BARE = new RegExp(`^(?:\\[([0-9a-fA-F:]+)\\]|(?:([^/:]+)/)?([^/:]+))${PORT}$`);

function read(text: string): Written {
  if (isIP(text) === 6) return { text, speech: undefined, host: text, port: undefined, path: undefined };
  const url = SCHEME.exec(text);
  return url === null ? readBare(text) : readUrl(text, url[1] ?? "", url[2] ?? "");
}

function readUrl(text: string, scheme: string, rest: string): Written {
  const speech = SCHEMES[scheme];
  if (speech === undefined)
    throw new CommandError(`--to ${text}: a scheme is one of ${Object.keys(SCHEMES).join(", ")}`);
  const [, ipv6, name, port, path] = URL_REST.exec(rest) ?? [];
  return { text, speech, host: hostOf(text, ipv6 ?? name), port, path };
}

function readBare(text: string): Written {
  const [, ipv6, namespace, name, port] = BARE.exec(text.replace(/^(?:svc|service|services)\//, "")) ?? [];
  const full = namespace === undefined ? name : `${name ?? ""}.${namespace}`;
  return { text, speech: undefined, host: hostOf(text, ipv6 ?? full), port, path: undefined };
}

function hostOf(text: string, host: string | undefined): string {
  if (host !== undefined) return host.replace(/\.$/, "");
  throw new CommandError(`--to ${text}: expected SERVICE[.NAMESPACE][:PORT], a URL or an address`);
}

/** How a destination is looked up. */
export interface Lookup {
  /** Of names without one. */
  readonly namespace: string;
  /** What DNS answers for the name; absent: what the objects say. */
  readonly address?: string;
}

/** What a text means to somebody; throws {@link CommandError} that says what there is instead. */
export function findDestination(world: MeshWorld, text: string, lookup: Lookup): Destination {
  const found = named(world, text, lookup);
  if (lookup.address === undefined) return found;
  return { ...found, addresses: [lookup.address], notes: found.notes.filter(note => note !== UNKNOWN) };
}

function named(world: MeshWorld, text: string, { namespace }: Lookup): Destination {
  const pod = /^(?:pod|po|pods)\/(?:([^/]+)\/)?([^/:]+)(?::([A-Za-z0-9-]+))?$/.exec(text);
  if (pod !== null) {
    const name = pod[1] === undefined ? (pod[2] ?? "") : `${pod[2] ?? ""}.${pod[1]}`;
    return toPod(world, { text, speech: undefined, host: name, port: pod[3], path: undefined }, namespace);
  }
  const written = read(text);
  const path = written.path === undefined ? {} : { path: written.path };
  return { ...resolved(world, written, namespace), ...path };
}

function resolved(world: MeshWorld, written: Written, namespace: string): Destination {
  const { host, text } = written;
  if (isIP(host) !== 0) return toAddress(world, written);
  const name = host.replace(/\.svc(\.cluster\.local)?$/, "");
  const labels = name.split(".");
  const inCluster = toName(world, written, { labels, namespace });
  if (inCluster !== undefined) return inCluster;
  const within = labels[1] ?? "";
  const isLocal = labels.length === 1 || (labels.length === 2 && namespacesOf(world).has(within));
  if (isLocal || name !== host) throw new CommandError(`--to ${text}: ${missing(world, labels, namespace)}`);
  return toOutside(written);
}

/** `service[.namespace]`, or `pod.service.namespace`. */
function toName(
  world: MeshWorld,
  written: Written,
  { labels, namespace }: { readonly labels: readonly string[]; readonly namespace: string },
): Destination | undefined {
  const [first = "", second, third] = labels;
  if (labels.length <= 2) {
    const service = serviceNamed(world, first, second ?? namespace);
    return service && toService(world, service, written);
  }
  const behind = labels.length === 3 ? serviceNamed(world, second, third) : undefined;
  return behind && toNamedPod(world, behind, { written, pod: first });
}

function servicesOf({ documents }: MeshWorld): readonly KubeDocument[] {
  return [...documents.values()].filter(({ kind }) => kind === "Service");
}

function serviceNamed({ documents }: MeshWorld, name = "", namespace = ""): KubeDocument | undefined {
  return documents.get(`Service/${namespace}/${name}`);
}

function missing(world: MeshWorld, [name = "", within]: readonly string[], namespace: string): string {
  const place = within ?? namespace;
  const elsewhere = servicesOf(world).filter(service => service.metadata.name === name);
  const there = servicesOf(world).filter(service => service.metadata.namespace === place);
  const said = (list: readonly KubeDocument[]): string =>
    list.map(({ metadata }) => `${metadata.name}.${metadata.namespace ?? ""}`).join(", ");
  const hint = elsewhere.length > 0 ? elsewhere : there;
  return `there is no Service ${place}/${name}${hint.length === 0 ? "" : `; there is ${said(hint)}`}`;
}

function toService(world: MeshWorld, service: KubeDocument, written: Written): Destination {
  const mesh = ingestService(service).value;
  const key = `${mesh.namespace}/${mesh.name}`;
  if (mesh.kind === "externalName") {
    const host = asText(asObject(service["spec"])["externalName"]) ?? "";
    const onward = resolved(world, { ...written, host, port: written.port }, mesh.namespace);
    return { ...onward, notes: [`Service ${key} is another name of ${host}`, ...onward.notes] };
  }
  const port = portOf(mesh, written);
  const headless = mesh.kind === "headless";
  const addresses = headless ? readyAddresses(world, key) : mesh.addresses.slice(0, 1);
  if (!headless && addresses.length === 0)
    throw new CommandError(`--to ${written.text}: Service ${key} has no address yet`);
  return {
    what: `Service ${key} port ${port.port}`,
    service: key,
    host: written.host,
    addresses,
    port: port.port,
    speech: written.speech ?? speechOf(port),
    notes: headless ? [`Service ${key} is headless: its name stands for the ready pods`] : [],
  };
}

function speechOf(port: ServicePort): Speech {
  return selectProtocol(port).protocol === "tcp" ? "bytes" : "http";
}

function portOf(service: MeshService, { text, port }: Written): ServicePort {
  const ports = tcpPortsOf(service);
  const [only] = ports;
  if (port === undefined && ports.length === 1 && only !== undefined) return only;
  const found = ports.find(({ name, port: number }) => String(number) === port || name === port);
  if (found !== undefined) return found;
  const all = ports
    .map(({ name, port: number }) => (name === "" ? String(number) : `${number} (${name})`))
    .join(", ");
  const number = Number(port ?? "");
  if (Number.isInteger(number) && number > 0 && number <= MAX_PORT)
    return { name: "", port: number, targetPort: number, transport: "TCP", appProtocol: undefined };
  const fault = port === undefined ? "several ports; add :PORT" : `no TCP port ${port}`;
  throw new CommandError(
    `--to ${text}: Service ${service.namespace}/${service.name} has ${fault}; it has ${all}`,
  );
}

function readyAddresses({ documents }: MeshWorld, service: string): readonly string[] {
  return [...documents.values()]
    .filter(object => object.kind === "EndpointSlice" && serviceOfSlice(object) === service)
    .flatMap(object => ingestEndpointSlice(object).value.endpoints)
    .filter(({ ready }) => ready)
    .map(({ address }) => address);
}

function numberOf({ text, port }: Written, otherwise?: number): number {
  const number = port === undefined ? otherwise : Number(port);
  if (number !== undefined && Number.isInteger(number) && number >= 1 && number <= MAX_PORT) return number;
  throw new CommandError(`--to ${text}: add the number of a port, like :8080`);
}

function toNamedPod(
  world: MeshWorld,
  service: KubeDocument,
  { written, pod }: { readonly written: Written; readonly pod: string },
): Destination {
  const mesh = ingestService(service).value;
  const { namespace } = mesh;
  const target = world.documents.get(`Pod/${namespace}/${pod}`);
  const [address] = target === undefined ? [] : ingestPod(target).value.ips;
  if (address === undefined)
    throw new CommandError(`--to ${written.text}: there is no pod ${namespace}/${pod} with an address`);
  const port = portOf(mesh, written);
  const service_ = `${namespace}/${mesh.name}`;
  return {
    what: `Pod ${namespace}/${pod} of Service ${service_} port ${port.port}`,
    service: service_,
    host: written.host,
    addresses: [address],
    port: port.port,
    speech: written.speech ?? speechOf(port),
    notes: [],
  };
}

function toPod(world: MeshWorld, written: Written, namespace: string): Destination {
  const [name = "", within = namespace] = written.host.split(".");
  const target = world.documents.get(`Pod/${within}/${name}`);
  const [address] = target === undefined ? [] : ingestPod(target).value.ips;
  if (target === undefined || address === undefined)
    throw new CommandError(`--to ${written.text}: there is no Pod ${within}/${name} with an address`);
  const named = ingestPod(target).value.namedPorts[written.port ?? ""];
  const port = named ?? numberOf(written);
  return { ...addressed({ ...written, host: address }, port), what: `Pod ${within}/${name} port ${port}` };
}

function addressed({ host, speech }: Written, port: number): Destination {
  return {
    what: `address ${host} port ${port}`,
    host,
    addresses: [host],
    port,
    speech: speech ?? (port === 443 ? "tls" : "http"),
    notes: [],
  };
}

/** Whoever has the address decides how it is spoken to. */
function toAddress(world: MeshWorld, written: Written): Destination {
  const service = servicesOf(world).find(object => {
    const { clusterIP, clusterIPs } = asObject(object["spec"]);
    return clusterIP === written.host || asArray(clusterIPs).includes(written.host);
  });
  if (service !== undefined) {
    const found = toService(world, service, written);
    return { ...found, addresses: [written.host] };
  }
  const secure = written.speech === "tls";
  return addressed(written, numberOf(written, written.speech === undefined ? undefined : secure ? 443 : 80));
}

function toOutside(written: Written): Destination {
  const secure = written.speech === "tls";
  const port = numberOf(written, secure ? 443 : 80);
  return {
    ...addressed(written, port),
    what: `host ${written.host} port ${port}, outside of the cluster`,
    addresses: [SOMEWHERE],
    notes: [UNKNOWN],
  };
}
