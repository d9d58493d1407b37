import { KubeError, type KubeClient, type KubeObject } from "../../src/runtime/kube";

/** A KubeClient over objects by path that knows label selectors of equality and of sets, and names; for what is deleted and what is left. */
export class KubeStore implements KubeClient {
  private readonly objects = new Map<string, KubeObject>();
  /** Paths, in the order in which they were deleted. */
  readonly deleted: string[] = [];
  /** Called before each apply; what it throws is the answer. */
  beforeApply: (path: string) => void = () => undefined;
  /** Called before each read; what it throws is the answer. */
  beforeGet: (path: string) => void = () => undefined;
  /** Called before each removal; what it throws is the answer. */
  beforeDelete: (path: string) => void = () => undefined;

  put(path: string, metadata: Omit<KubeObject["metadata"], "name"> & object = {}, more: object = {}): this {
    const name = path.slice(path.lastIndexOf("/") + 1);
    const namespace = /\/namespaces\/([^/]+)\/./.exec(path)?.[1];
    const whole = { ...metadata, name, ...(namespace === undefined ? {} : { namespace }) };
    this.objects.set(path, { ...more, metadata: whole } as KubeObject);
    return this;
  }

  has(path: string): boolean {
    return this.objects.has(path);
  }

  get<T>(path: string): Promise<T> {
    return new Promise(resolve => {
      this.beforeGet(path);
      const [place = "", query = ""] = path.split("?", 2);
      const wanted = partsOf(place);
      if (wanted.name !== undefined) {
        const one = this.objects.get(place);
        if (one === undefined) throw notFound(place);
        resolve(one as T);
        return;
      }
      const items = [...this.objects].filter(([key, object]) => {
        const { group, namespace, plural } = partsOf(key);
        const inPlace = wanted.namespace === undefined || wanted.namespace === namespace;
        return group === wanted.group && plural === wanted.plural && inPlace && selects(query, object);
      });
      resolve({ items: items.map(([, object]) => object) } as T);
    });
  }

  create<T>(path: string, body: T): Promise<T> {
    return this.apply(`${path}/${(body as KubeObject).metadata.name}`, body);
  }

  apply<T>(path: string, body: T): Promise<T> {
    return new Promise(resolve => {
      this.beforeApply(path);
      this.objects.set(path, body as KubeObject);
      resolve(body);
    });
  }

  mergePatch<T>(): Promise<T> {
    return Promise.reject(new Error("nothing is patched here"));
  }

  jsonPatch<T>(): Promise<T> {
    return Promise.reject(new Error("nothing is patched here"));
  }

  watch(): Promise<void> {
    return Promise.reject(new Error("nothing is watched here"));
  }

  async delete(path: string): Promise<void> {
    await Promise.resolve(path).then(this.beforeDelete);
    if (!this.objects.delete(path)) throw notFound(path);
    this.deleted.push(path);
    // What is in a namespace goes with it.
    for (const key of this.objects.keys())
      if (path.startsWith("/api/v1/namespaces/") && key.includes(`${path.slice("/api/v1".length)}/`))
        this.objects.delete(key);
  }
}

interface Parts {
  readonly group: string;
  readonly namespace: string | undefined;
  readonly plural: string;
  /** undefined: a collection. */
  readonly name: string | undefined;
}

function partsOf(path: string): Parts {
  const [, group = "", rest = ""] = /^(\/api\/v1|\/apis\/[^/]+\/[^/]+)\/(.*)$/.exec(path) ?? [];
  const words = rest.split("/");
  const isWithin = words[0] === "namespaces" && words.length > 2;
  const [plural = "", name] = isWithin ? words.slice(2) : words;
  return { group, namespace: isWithin ? words[1] : undefined, plural, name };
}

const notFound = (path: string): KubeError => new KubeError(404, "NotFound", `${path}: 404`);

function selects(query: string, { metadata: { name, labels = {} } }: KubeObject): boolean {
  const wanted = new URLSearchParams(query);
  const field = wanted.get("fieldSelector") ?? `metadata.name=${name}`;
  return field === `metadata.name=${name}` && hasLabels(wanted.get("labelSelector") ?? "", labels);
}

type Labels = Readonly<Record<string, string>>;

/** Requirements by comma, all of which must hold. */
function hasLabels(selector: string, labels: Labels): boolean {
  const requirements = selector.split(/,(?![^(]*\))/).filter(one => one !== "");
  return requirements.every(one => meets(one, labels));
}

/** `a=b`, `a in (b,c)`, `a notin (b,c)`, `!a`, or a label alone. */
function meets(requirement: string, labels: Labels): boolean {
  const [, not, key = "", operator, set] = /^(!?)([^\s=]+)(?:(=| in | notin )(.*))?$/.exec(requirement) ?? [];
  const label = labels[key];
  if (operator === undefined) return (label !== undefined) === (not === "");
  const values = (set ?? "").replace(/^\(|\)$/g, "").split(",");
  const isOne = label !== undefined && values.includes(label);
  return operator === " notin " ? !isOne : isOne;
}
