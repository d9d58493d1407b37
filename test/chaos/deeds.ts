/** What the single writer has done to the Secrets of the mesh, version by version. */
import { parseRotation } from "../../src/certificate/rotation-record";
import { CA_SECRET_NAME } from "../../src/model/mesh-words";
import type { KubeClient, KubeObject, WatchEvent } from "../../src/runtime/kube";
import { recordText } from "../../src/runtime/secrets/root-record";
import { waitFor } from "../support/wait";
import { OSM } from "./objects";

const SECRETS = `/api/v1/namespaces/${OSM}/secrets`;
/** A rotation waits for proof of every proxy, and for leaves of the old root to end, milliseconds. */
const LIMIT_MS = 300_000;

/** The roots that a version of the CA's Secret names, and the one of them that issues. */
interface Roots {
  readonly trusted: readonly string[];
  readonly issuing: string;
}

const BUILT_IN = "built-in";

function rootsOf(secret: object): Roots {
  const text = recordText(secret);
  if (text === undefined) return { trusted: [BUILT_IN], issuing: BUILT_IN };
  const { roots, issuing } = parseRotation(text);
  const name = (owner: string | undefined): string => owner ?? BUILT_IN;
  const issuer = roots.find(({ fingerprint }) => fingerprint === issuing);
  return { trusted: roots.map(({ owner }) => name(owner)).sort(), issuing: name(issuer?.owner) };
}

/** What led from one version to the next one. */
function movesBetween(before: Roots, after: Roots): readonly string[] {
  const added = after.trusted.filter(name => !before.trusted.includes(name));
  const gone = before.trusted.filter(name => !after.trusted.includes(name));
  const issues = before.issuing === after.issuing ? [] : [`issue ${after.issuing}`];
  return [...added.map(name => `trust ${name}`), ...issues, ...gone.map(name => `drop ${name}`)];
}

/** What the writer has done, as every version of the Secrets shows it. */
export class Deeds {
  /** Steps of the rotation of the workloads' root, in order. */
  readonly moves: string[] = [];
  /** How often each Secret has been made. */
  readonly made = new Map<string, number>();
  /** Certificates of the built-in CA that were seen; more than one: it has been made anew. */
  readonly authorities = new Set<string>();
  private roots: Roots = { trusted: [BUILT_IN], issuing: BUILT_IN };
  private readonly watching = new AbortController();

  private constructor() {
    // Made by watch().
  }

  /** Begins to look. */
  static async watch(kube: Pick<KubeClient, "get" | "watch">): Promise<Deeds> {
    const deeds = new Deeds();
    const { items, metadata } = await kube.get<{
      readonly items: readonly KubeObject[];
      readonly metadata: { readonly resourceVersion: string };
    }>(SECRETS);
    for (const item of items) deeds.take("ADDED", item);
    const path = `${SECRETS}?watch=1&resourceVersion=${metadata.resourceVersion}&timeoutSeconds=3600`;
    const take = ({ type, object }: WatchEvent): void => {
      deeds.take(type, object);
    };
    kube.watch(path, take, deeds.watching.signal).catch((error: unknown) => {
      deeds.trouble ??= String(error);
    });
    return deeds;
  }

  /** Why nothing more is seen; undefined: all is seen. */
  private trouble: string | undefined;

  /** Resolves when so many moves have been seen. */
  async until(count: number): Promise<void> {
    await waitFor(`${count} moves`, () => this.moves.length >= count, LIMIT_MS).catch((error: unknown) => {
      throw new Error(`${String(error)}; were ${this.moves.join(", ")}; ${this.trouble ?? "watched"}`);
    });
  }

  stop(): void {
    this.watching.abort();
  }

  private take(type: string, object: KubeObject): void {
    const { name } = object.metadata;
    if (type === "ADDED") this.made.set(name, (this.made.get(name) ?? 0) + 1);
    if (name !== CA_SECRET_NAME) return;
    const { data } = object as { readonly data?: Readonly<Record<string, string>> };
    this.authorities.add(data?.["ca.crt"] ?? "");
    const roots = rootsOf(object);
    this.moves.push(...movesBetween(this.roots, roots));
    this.roots = roots;
  }
}

/** What follows from asking for the other root for the n-th time, beginning with 0. */
export function movesOf(turn: number): readonly string[] {
  if (turn % 2 === 1) return ["trust built-in", "issue built-in"];
  return [...(turn === 0 ? ["trust chaos-ca"] : []), "issue chaos-ca", "drop built-in"];
}
