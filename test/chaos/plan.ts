/** Which faults a chaos run makes, and when: a function of the seed alone, so that a run that failed can be repeated. */

/** How a process is disturbed: ended at once, asked to end, or stopped for a while. */
export type ProcessFault = "kill" | "term" | "pause";

/** How connections are disturbed: reset, open and silent, or slow. */
export type LinkFault = "reset" | "half-open" | "slow";

/** What is disturbed. `forMs`: how long until it is put right again, milliseconds. */
export type Fault =
  | {
      readonly kind: "control-plane";
      readonly replicas: readonly number[];
      readonly how: ProcessFault;
      readonly forMs: number;
    }
  | { readonly kind: "api-server"; readonly how: "kill" | "pause"; readonly forMs: number }
  | { readonly kind: "etcd"; readonly how: "kill" | "pause"; readonly forMs: number }
  | {
      readonly kind: "ads";
      /** The name of a sidecar, or `all`. */
      readonly proxies: string;
      readonly how: LinkFault;
      readonly forMs: number;
    }
  | { readonly kind: "watch"; readonly replica: number; readonly how: LinkFault; readonly forMs: number }
  | {
      readonly kind: "sidecar";
      readonly pod: string;
      readonly how: "kill" | "pause";
      readonly forMs: number;
    }
  | { readonly kind: "endpoint"; readonly forMs: number }
  | { readonly kind: "policy"; readonly change: PolicyChange };

/** A change of what is written; those that go to and fro do the other thing each time. */
export type PolicyChange = "grant" | "mode" | "bad-regex" | "conflict" | "limit" | "root";

/** A fault and when it begins, milliseconds after the begin of its round. */
export interface PlannedFault {
  readonly atMs: number;
  readonly fault: Fault;
}

/** Faults that may be there at the same time. After a round everything is put right, and has to become good. */
export interface Round {
  readonly index: number;
  readonly faults: readonly PlannedFault[];
}

/** What there is to be disturbed. */
export interface Stage {
  readonly replicas: number;
  /** Names of the sidecars. */
  readonly sidecars: readonly string[];
}

/** Numbers in [0, 1) from a seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Cards in a random order, dealt again when there is none left: nothing is left out for long. */
class Deck<T> {
  private left: T[] = [];

  constructor(
    private readonly cards: readonly T[],
    private readonly random: () => number,
  ) {}

  draw(): T {
    if (this.left.length === 0) this.left = [...this.cards];
    const [card] = this.left.splice(Math.floor(this.random() * this.left.length), 1);
    if (card === undefined) throw new Error("a deck without cards");
    return card;
  }
}

/** Faults begin within so many milliseconds of a round. */
const SPREAD_MS = 1_500;
const SHORTEST_MS = 800;
const LONGEST_MS = 4_000;

type Card = (random: () => number, stage: Stage) => Fault;

const someMs = (random: () => number): number =>
  Math.round(SHORTEST_MS + random() * (LONGEST_MS - SHORTEST_MS));

function pick<T>(items: readonly T[], random: () => number): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new Error("nothing to choose from");
  return item;
}

const controlPlane =
  (how: ProcessFault, all = false): Card =>
  (random, stage) => {
    const every = Array.from({ length: stage.replicas }, (_, index) => index);
    return {
      kind: "control-plane",
      replicas: all ? every : [pick(every, random)],
      how,
      forMs: someMs(random),
    };
  };
const store =
  (kind: "api-server" | "etcd", how: "kill" | "pause"): Card =>
  random => ({ kind, how, forMs: someMs(random) });
const ads =
  (how: LinkFault, all: boolean): Card =>
  (random, { sidecars }) => ({
    kind: "ads",
    proxies: all ? "all" : pick(sidecars, random),
    how,
    forMs: someMs(random),
  });
const watch =
  (how: LinkFault): Card =>
  (random, { replicas }) => ({
    kind: "watch",
    replica: Math.floor(random() * replicas),
    how,
    forMs: someMs(random),
  });
const sidecar =
  (how: "kill" | "pause"): Card =>
  (random, { sidecars }) => ({ kind: "sidecar", pod: pick(sidecars, random), how, forMs: someMs(random) });

const DISTURBANCES: readonly Card[] = [
  controlPlane("kill"),
  controlPlane("term"),
  controlPlane("pause"),
  controlPlane("kill", true),
  store("api-server", "kill"),
  store("api-server", "pause"),
  store("etcd", "kill"),
  store("etcd", "pause"),
  ads("reset", true),
  ads("half-open", false),
  ads("slow", true),
  watch("reset"),
  watch("half-open"),
  watch("slow"),
  sidecar("kill"),
  sidecar("pause"),
];

/** In each round of this number nothing is disturbed: that shows how soon a grant comes and goes. */
const CALM_EVERY = 4;
const grant: Card = () => ({ kind: "policy", change: "grant" });

const CHANGES: readonly Card[] = [
  ...(
    ["grant", "grant", "grant", "grant", "mode", "mode", "bad-regex", "conflict", "limit", "root"] as const
  ).map(
    (change): Card =>
      () => ({ kind: "policy", change }),
  ),
  random => ({ kind: "endpoint", forMs: someMs(random) }),
  random => ({ kind: "endpoint", forMs: someMs(random) }),
];

/** What cannot be disturbed twice at a time. */
function subject(fault: Fault): string {
  if (fault.kind === "policy") return fault.change;
  return fault.kind;
}

/** The rounds of a seed, without end. */
export function* planOf(seed: number, stage: Stage): Generator<Round, never> {
  const random = randomOf(seed);
  const disturbances = new Deck(DISTURBANCES, random);
  const changes = new Deck(CHANGES, random);
  for (let index = 0; ; index += 1) {
    const isCalm = index % CALM_EVERY === CALM_EVERY - 1;
    const drawn = isCalm ? [grant] : [disturbances.draw(), ...(random() < 0.4 ? [disturbances.draw()] : [])];
    const written = [changes.draw(), ...(random() < 0.5 ? [changes.draw()] : [])];
    const faults = new Map<string, PlannedFault>();
    for (const card of [...drawn, ...written]) {
      const fault = card(random, stage);
      const atMs = Math.round(random() * SPREAD_MS);
      if (!faults.has(subject(fault))) faults.set(subject(fault), { atMs, fault });
    }
    yield { index, faults: [...faults.values()].sort((one, other) => one.atMs - other.atMs) };
  }
}
