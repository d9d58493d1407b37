import type { RootsLine } from "../../runtime/api/pages";
import { tableText } from "../output";
import { type JudgedProxy, type JudgedStatus, spanText } from "./judge";

const yes = (is: boolean): string => (is ? "yes" : "no");

function proxyRow(at: number, line: JudgedProxy): readonly string[] {
  const { pod, node = "", envoy = "", replica, since = at, lateSince, renewAt, problems } = line;
  const connected = replica === undefined ? "no" : spanText(at - since);
  const late = lateSince === undefined ? "current" : `late ${spanText(at - lateSince)}`;
  const due = renewAt === undefined ? "none" : renewAt < at ? "due" : `renews in ${spanText(renewAt - at)}`;
  const held = replica === undefined ? ["", ""] : [late, due];
  return [pod, node, envoy, connected, ...held, problems[0] ?? ""];
}

function rootLines(at: number, { text, roots, next }: RootsLine): readonly string[] {
  const rows = roots.map(({ name, fingerprint, issuing, notAfter, trustDomain = "" }) => [
    name,
    fingerprint,
    issuing ? "issues" : "trusted",
    spanText(notAfter - at),
    trustDomain,
  ]);
  const table = tableText({ head: ["ROOT", "FINGERPRINT", "USE", "LEFT", "TRUST DOMAIN"], rows });
  return next === undefined ? [table] : [table, `Next: ${next.kind} ${next.root}. ${text}`];
}

/** The status as people read it: the mesh, its control plane, its proxies, its roots, and what is wrong. */
export function statusText(status: JudgedStatus, proxies: readonly JudgedProxy[]): string {
  const { at, mesh, replicas, objects, roots, problems, uninjected } = status;
  const connected = status.proxies.filter(({ replica }) => replica !== undefined).length;
  const late = status.proxies.filter(({ lateSince }) => lateSince !== undefined).length;
  const programmed = objects.filter(({ affected = 0, programmed: of = 0 }) => of >= affected).length;
  const meant = uninjected.filter(one => one.meant);
  const parts = [
    `Mesh ${mesh.name} (${mesh.namespace}), version ${mesh.version}: ${connected} of ${status.proxies.length} proxies connected, ` +
      `${connected - late} current; ${programmed} of ${objects.length} objects in force`,
    `Permissive: ${yes(mesh.permissive)}   Egress: ${yes(mesh.egress)}   Trust domain: ${mesh.trustDomain}`,
    tableText({
      head: ["CONTROL PLANE", "READY", "VERSION", "PROXIES"],
      rows: replicas.map(({ name, ready, version = "", known, proxies: count }) => [
        name,
        yes(ready),
        version,
        known ? String(count) : "not known",
      ]),
    }),
    tableText({
      head: ["PROXY", "NODE", "ENVOY", "CONNECTED", "CONFIGURATION", "CERTIFICATE", "PROBLEM"],
      rows: proxies.map(line => proxyRow(at, line)),
    }),
    ...(roots === undefined ? [] : [rootLines(at, roots).join("\n")]),
    ...(meant.length === 0
      ? []
      : [`Outside of the mesh: ${meant.map(({ pod, why }) => `${pod} (${why})`).join(", ")}`]),
    problems.length === 0
      ? "All is well."
      : [`Problems (${problems.length}):`, ...problems.map(problem => `  ${problem}`)].join("\n"),
  ];
  return parts.join("\n\n");
}
