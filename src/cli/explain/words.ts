/** Parts of the mesh in words. */
import type { ObjectRef } from "../../model/object-ref";
import type { Difference } from "../../policy/permits";
import type { HttpRequest } from "../../policy/decide";
import type { Grant, HttpMatch, Leaf } from "../../policy/types";
import { present } from "../offline/present";
import type { End } from "./request";

/** `Kind namespace/name`. */
export function refText({ kind, namespace, name }: ObjectRef): string {
  return namespace === "" ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}

/** A list as people say it: `a`, `a and b`, `a, b and c`. */
export function listText(parts: readonly string[], word: "and" | "or" = "and"): string {
  const last = parts.at(-1) ?? "";
  return parts.length < 2 ? last : `${parts.slice(0, -1).join(", ")} ${word} ${last}`;
}

function pathText(path: HttpMatch["path"]): string {
  switch (path.kind) {
    case "any":
      return "any path";
    case "prefix":
      return `${path.value}…`;
    case "exact":
    case "regex":
      return path.value;
  }
}

/** Requests that match, like `GET /books-bought with client-app: bookbuyer`; of all of them, `every request`. */
export function matchText({ methods, path, headers }: HttpMatch): string {
  if (methods.length === 0 && path.kind === "any" && headers.length === 0) return "every request";
  const method = methods.length === 0 ? "any method" : methods.join("|");
  const wanted = headers.map(({ name, value }) => `${name}: ${value}`);
  return `${method} ${pathText(path)}${wanted.length === 0 ? "" : ` with ${listText(wanted)}`}`;
}

/** What a grant lets through. */
export function grantText({ matches }: Grant): string {
  return listText(matches.map(matchText), "or");
}

/** A grant's name, `<namespace>/<TrafficTarget>#<rule>[/<match>]`, taken apart. */
export interface GrantName {
  readonly target: string;
  readonly rule: number;
  /** Name of the match, without the mark that tells twins apart. */
  readonly match: string | undefined;
}

/** Reads the name of a grant; undefined for what is none. */
export function grantName(name: string): GrantName | undefined {
  const [, target, rule, match] = /^(.+?)#(\d+)(?:\/(.*))?$/s.exec(name) ?? [];
  if (target === undefined) return undefined;
  return { target, rule: Number(rule), match: match?.replace(/~\d+$/, "") };
}

/** The part of a request that a difference is in, as it was asked for. */
export function askedText(
  differs: readonly Difference[],
  caller: string,
  http: HttpRequest | undefined,
): string {
  const parts = differs.map(part => {
    switch (part) {
      case "identity":
        return `asked by ${caller}`;
      case "method":
        return `asked for ${http?.method ?? ""}`;
      case "path":
        return `asked for ${http?.path ?? ""}`;
      case "header":
        return "asked without these headers";
    }
  });
  return listText(parts);
}

/** A backend's cluster, like `Service shop/cart port 80`. */
export function clusterText(cluster: string): string {
  const [, what, key, port, direct] =
    /^(outbound|unresolved)\|([^|]+)\|(\d+)(\|direct)?$/.exec(cluster) ?? [];
  if (key === undefined) return cluster;
  const service = `Service ${key} port ${port ?? ""}`;
  if (what === "unresolved") return `${service}, which is not there`;
  return direct === undefined ? service : `a pod of ${service}, by its own address`;
}

/** Finds a leaf of a kind. */
export function leafOf<K extends Leaf["kind"]>(
  leaves: readonly Leaf[],
  kind: K,
  test: (leaf: Extract<Leaf, { kind: K }>) => boolean = () => true,
): Extract<Leaf, { kind: K }> | undefined {
  return leaves.find((leaf): leaf is Extract<Leaf, { kind: K }> => leaf.kind === kind && test(leaf as never));
}

/** Whether an end reaches an application. */
export function reaches({ outcome }: Pick<End, "outcome">): boolean {
  return outcome === "delivered" || outcome === "passthrough";
}

/** What the caller sees of an end, and Envoy's response flag in its access log. */
export function seen(end: End, isHttp: boolean): { readonly sees: string; readonly flag?: string } {
  const flag = flagOf(end);
  return { sees: seesText(end, isHttp), ...present({ flag }) };
}

function seesText({ outcome, status }: End, isHttp: boolean): string {
  if (outcome === "delivered") return "the application's answer";
  if (outcome === "passthrough") return "whatever answers there: the call leaves the mesh as it is";
  if (status === undefined || !isHttp) return "the connection ends without an answer";
  return outcome === "forbidden" ? `HTTP ${status} (body “RBAC: access denied”)` : `HTTP ${status}`;
}

/** NR: no route, NC: no such cluster, UH: no healthy host, UF: the connection to the host failed. */
const FLAGS: Readonly<Partial<Record<End["outcome"], string>>> = { "no-rule": "NR", "wrong-server": "UF" };

function flagOf({ outcome, cluster, destination }: End): string | undefined {
  if (outcome === "unavailable") return destination === undefined ? "UH" : "UF";
  if (outcome === "no-backend") return cluster?.startsWith("unresolved|") === true ? "NC" : undefined;
  return FLAGS[outcome];
}
