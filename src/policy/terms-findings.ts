/** What the owners of Egresses, IngressBackends, Retries, settings, Telemetries and annotated pods should know. */
import { nearness, saysSomething, speaksOfPod } from "../catalog/telemetry";
import { isServed } from "../catalog/endpoints";
import { carriedPorts } from "../catalog/node-groups";
import { structurallyEqual } from "../graph/equality";
import type { Cell, Family, Read } from "../graph/graph";
import { oldestFirst } from "../model/age";
import type { Diagnostic } from "../model/diagnostic";
import type { ServiceIdentity } from "../model/identity";
import { identityKey } from "../model/identity";
import { accountFindings } from "./account-findings";
import { authorizationFindings } from "./authorization";
import { egressFindings } from "./egress";
import type { Sources } from "./findings";
import { ingressFindings } from "./ingress";
import { selectProtocol } from "./protocol";
import { externalFindings, externalRef } from "./external-findings";
import { retryFindings } from "./retry";
import { telemetryFindings, type TelemetryFacts } from "./telemetry";
import { ingressFacts } from "./traffic";
import { settingFindings } from "./upstream";

type Found = readonly Diagnostic[];

/** Findings of these kinds. */
export interface TermsFindings {
  readonly all: Cell<Found>;
  /** About one object, by kind and then by key. */
  readonly of: Readonly<Record<string, Family<string, Found>>>;
}

/** Findings of all of these kinds. */
export function createTermsFindings(sources: Sources): TermsFindings {
  const { inputs, catalog } = sources;
  const { graph } = inputs;
  const family = (
    label: string,
    of: (read: Read, sources: Sources, key: string) => Found,
  ): Family<string, Found> =>
    graph.family<string, Found>({
      label,
      keyOf: key => key,
      compute: (read, key) => of(read, sources, key),
      equals: structurallyEqual,
    });
  const kinds = [
    { kind: "Egress", keys: inputs.egresses.keys, of: family("egressFindings", ofEgress) },
    { kind: "IngressBackend", keys: inputs.ingressBackends.keys, of: family("ingressFindings", ofIngress) },
    { kind: "Retry", keys: inputs.retries.keys, of: family("retryFindings", ofRetry) },
    {
      kind: "UpstreamTrafficSetting",
      keys: inputs.upstreamTrafficSettings.keys,
      of: family("settingFindings", ofSetting),
    },
    { kind: "Telemetry", keys: inputs.telemetries.keys, of: family("telemetryFindings", ofTelemetry) },
    { kind: "Pod", keys: catalog.membership.pods, of: family("podTermsFindings", ofPod) },
    {
      kind: "ExternalWorkload",
      keys: inputs.pods.by("external", ""),
      of: family("externalFindings", ofExternal),
    },
  ];
  const all = graph.derive(
    "termsFindings",
    read => kinds.flatMap(({ keys, of }) => read(keys).flatMap(key => read(of(key)))),
    structurallyEqual,
  );
  return { all, of: Object.fromEntries(kinds.map(({ kind, of }) => [kind, of] as const)) };
}

function podsOf(read: Read, { inputs }: Sources, identities: readonly ServiceIdentity[]): number {
  const pods = identities.flatMap(identity => read(inputs.pods.by("account", identityKey(identity))));
  return new Set(pods).size;
}

/** How a Service of the mesh is carried at the ports that `counts`; `absent`: it has no such port. */
function carriedBy(
  read: Read,
  { inputs, catalog }: Sources,
  { service: key, port }: { readonly service: string; readonly port?: number },
): "http" | "bytes" | "absent" | undefined {
  const service = read(inputs.services.row(key));
  if (service?.selector === undefined || service.kind === "externalName") return undefined;
  if (!read(catalog.membership.isMeshed(service.namespace))) return undefined;
  const standing = read(catalog.endpoints.standing(key));
  if (!standing.served) return undefined;
  const { endpoints } = read(catalog.endpoints.backing(key));
  const ports = carriedPorts(service).filter(
    candidate =>
      isServed(standing, candidate) &&
      (port === undefined ||
        candidate.targetPort === port ||
        endpoints.some(endpoint => endpoint.ports[candidate.name] === port)),
  );
  if (ports.length === 0) return "absent";
  return ports.some(candidate => selectProtocol(candidate).protocol !== "tcp") ? "http" : "bytes";
}

function ofEgress(read: Read, sources: Sources, key: string): Found {
  const { inputs, settings, traffic } = sources;
  const egress = read(inputs.egresses.row(key));
  if (egress === undefined) return [];
  const named = [{ field: "spec.sources", accounts: egress.sources }];
  return [
    ...accountFindings(read, inputs, egress.ref, named),
    ...egressFindings(egress, {
      open: read(settings.egress),
      pods: podsOf(read, sources, egress.sources),
      group: name => read(traffic.group(name)),
      setting: name => read(inputs.upstreamTrafficSettings.row(name)),
    }),
  ];
}

function ofIngress(read: Read, sources: Sources, key: string): Found {
  const { inputs, catalog, traffic } = sources;
  const policy = read(inputs.ingressBackends.row(key));
  if (policy === undefined) return [];
  return ingressFindings(policy, {
    ...ingressFacts(read, catalog, traffic.group),
    carried: (service, port) => carriedBy(read, sources, { service, port }),
  });
}

function ofRetry(read: Read, sources: Sources, key: string): Found {
  const { inputs } = sources;
  const retry = read(inputs.retries.row(key));
  if (retry === undefined) return [];
  const rivals = read(inputs.retries.by("source", identityKey(retry.source)));
  const named = [{ field: "spec.source", accounts: [retry.source] }];
  return [
    ...accountFindings(read, inputs, retry.ref, named),
    ...retryFindings(retry, {
      enabled: read(inputs.meshConfig).featureFlags.enableRetryPolicy,
      pods: podsOf(read, sources, [retry.source]),
      rivals: oldestFirst(rivals.flatMap(rival => read(inputs.retries.row(rival)) ?? [])),
      carried: service => {
        const carried = carriedBy(read, sources, { service });
        return carried === "absent" ? "bytes" : carried;
      },
    }),
  ];
}

function ofSetting(read: Read, sources: Sources, key: string): Found {
  const { inputs, traffic } = sources;
  const setting = read(inputs.upstreamTrafficSettings.row(key));
  if (setting === undefined) return [];
  const { service } = setting;
  const carried = service === undefined ? undefined : carriedBy(read, sources, { service });
  const referred = read(inputs.egresses.keys).some(
    egress => read(inputs.egresses.row(egress))?.setting === key,
  );
  const rivalry = service === undefined ? [] : read(traffic.setting(service)).diagnostics;
  const own = rivalry.filter(({ subject }) => subject.name === setting.ref.name);
  const http = carried === "http";
  return [...own, ...settingFindings(setting, { served: carried !== undefined, http, referred })];
}

function ofTelemetry(read: Read, { inputs, catalog, traffic }: Sources, key: string): Found {
  const telemetry = read(inputs.telemetries.row(key));
  if (telemetry === undefined) return [];
  const osmNamespace = inputs.meshConfigRef.namespace;
  const near = nearness(telemetry, osmNamespace);
  const pods = read(catalog.membership.pods).filter(pod => {
    const row = read(inputs.pods.row(pod));
    return row !== undefined && speaksOfPod(telemetry, row, osmNamespace);
  });
  const winnersOf = (pod: string): TelemetryFacts["pods"][number] =>
    Object.fromEntries(
      Object.entries(read(catalog.telemetryOf(pod)) ?? {}).flatMap(([part, winner]) => {
        const row = read(inputs.telemetries.row(winner));
        return row === undefined ? [] : [[part, row]];
      }),
    );
  return [
    ...telemetryFindings(telemetry, {
      pods: pods.map(winnersOf),
      isRival: winner => nearness(winner, osmNamespace) === near,
    }),
    ...(!saysSomething(telemetry) ? [] : (read(traffic.logging(key))?.diagnostics ?? [])),
  ];
}

function ofExternal(read: Read, { inputs, catalog }: Sources, key: string): Found {
  const workload = read(inputs.pods.row(key));
  if (workload === undefined) return [];
  const { namespace, name, identity } = workload;
  return externalFindings(externalRef(namespace, name), {
    account: identity.serviceAccount,
    hasAccount: read(inputs.serviceAccounts.row(identityKey(identity))) !== undefined,
    inMesh: read(catalog.membership.isMeshed(namespace)),
    joined: workload.meshed,
    services: read(catalog.nodeGroups.served(key)).length,
  });
}

function ofPod(read: Read, { inputs, catalog, traffic }: Sources, key: string): Found {
  const pod = read(inputs.pods.row(key));
  if (pod === undefined) return [];
  const { namespace, name } = pod;
  const subject =
    pod.external === undefined ? { group: "", kind: "Pod", namespace, name } : externalRef(namespace, name);
  const conflicts = read(catalog.nodeGroups.served(key)).flatMap(({ port, frontends }) => {
    const services = [...new Set(frontends.map(({ service }) => service))];
    return read(traffic.ingress({ port, services })).diagnostics;
  });
  return [
    ...conflicts,
    ...authorizationFindings(subject, pod.externalAuthorization, name =>
      read(inputs.extensionServices.row(name)),
    ),
  ];
}
