import { MESH_CONFIG_PLACE, patchMeshConfig, readSwitches } from "./control-plane";
import { numberOf, type Reading } from "./counters";
import { asList, type Manifest } from "./manifests";
import { accessManifests, splitManifest } from "./policies";
import { bought, MOVE_MS, proved, restocked, secondVersionJoins, stolen, type Stage } from "./story";
import { rise, type Counter } from "./watch";

/** Counters that have not risen for this long, in milliseconds, stand still: a sale takes 20 to 120. */
const STILL_MS = 3_000;

/** Sales over which the shares of a split are judged. */
const SALES = 30;

const boughtV1: Counter = { program: "bookbuyer", name: "booksBoughtV1" };
const boughtV2: Counter = { program: "bookbuyer", name: "booksBoughtV2" };
const buyerRefused: Counter = { program: "bookbuyer", name: "failed" };
const thiefRefused: Counter = { program: "bookthief", name: "failed" };

/** A write, and when kubectl had made it. */
interface Edit {
  readonly done: number;
  readonly took: number;
}

async function edit(write: () => Promise<unknown>): Promise<Edit> {
  const began = Date.now();
  await write();
  const done = Date.now();
  return { done, took: done - began };
}

function apply(stage: Stage, manifests: readonly Manifest[]): Promise<string> {
  return stage.kubectl.must(["apply", "-f", "-"], asList(manifests));
}

/** When something was seen, for people: counted from kubectl's end, with the time of kubectl itself beside it. */
function after(change: Edit, seen: number): string {
  return `${Math.max(0, seen - change.done)} ms after kubectl's write, which took ${change.took} ms`;
}

/** Waits until the counters stand still and gives the moment of their last rise, or of the change if none rose since. */
async function untilStill(stage: Stage, change: Edit, counters: readonly Counter[]): Promise<number> {
  const highest = counters.map(({ program, name }) => numberOf(stage.watch.reading, program, name));
  let last = change.done;
  const what = `no more rise of ${counters.map(({ program, name }) => `${program} ${name}`).join(", ")}`;
  await stage.watch.until(what, MOVE_MS, (_, now) => {
    counters.forEach(({ program, name }, index) => {
      const value = numberOf(now, program, name);
      if (value <= (highest[index] ?? 0)) return;
      highest[index] = value;
      last = Date.now();
    });
    return Date.now() - last >= STILL_MS;
  });
  return last;
}

/** Nothing is allowed that nobody has allowed. */
export async function everythingIsDenied(stage: Stage): Promise<void> {
  const { screen, watch } = stage;
  screen.title("MeshConfig traffic.enablePermissiveTrafficPolicyMode: false, and no policy: deny all");
  const off = { traffic: { enablePermissiveTrafficPolicyMode: false } };
  screen.say(`kubectl patch ${MESH_CONFIG_PLACE} --type=merge -p '${JSON.stringify({ spec: off })}'`);
  const change = await edit(() => patchMeshConfig(stage.kubectl, off));
  const refused = watch.untilRisen([buyerRefused, thiefRefused], 1, MOVE_MS).then(() => Date.now());
  const [last, seen] = await Promise.all([untilStill(stage, change, [bought, stolen, restocked]), refused]);
  proved(
    stage,
    `deny all: the counters of books stand still (last rise seen ${after(change, last)}; ` +
      `both shoppers refused ${after(change, seen)})`,
  );
  await watch.reset(["bookbuyer", "bookthief", "bookstore-v1"]);
}

/** bookbuyer is let in by name, and so is who works for the bookstore; bookthief is not. */
export async function buyerIsAllowed(stage: Stage, restockedBefore: number): Promise<void> {
  const { screen, watch } = stage;
  screen.title(
    "TrafficTargets: bookbuyer → bookstore → bookwarehouse → mysql. bookthief sends the same headers",
  );
  const change = await edit(() => apply(stage, accessManifests()));
  const first = await watch
    .until("a book bought", MOVE_MS, (_, now) => numberOf(now, bought.program, bought.name) > 0)
    .then(() => Date.now());
  const enough = (now: Reading): boolean =>
    numberOf(now, bought.program, bought.name) >= SALES / 2 &&
    numberOf(now, restocked.program, restocked.name) >= restockedBefore + SALES / 4;
  await watch.until("books bought and restocked again", MOVE_MS, (_, now) => enough(now));
  const now = await watch.untilRisen([thiefRefused], 3, MOVE_MS);
  const thefts = numberOf(now, stolen.program, stolen.name);
  if (thefts > 0) throw new Error(`bookthief got ${thefts} books although nothing allows it`);
  proved(
    stage,
    `allow bookbuyer only: first book bought ${after(change, first)}; ` +
      `since then ${numberOf(now, bought.program, bought.name)} bought, ${thefts} stolen ` +
      `(${numberOf(now, thiefRefused.program, thiefRefused.name)} attempts)`,
  );
}

function shares(from: Reading, to: Reading): { readonly v1: number; readonly v2: number } {
  return { v1: rise(from, to, boughtV1), v2: rise(from, to, boughtV2) };
}

/** Waits for enough sales to judge by, and gives what each version sold of them. */
async function sell(stage: Stage, sales: number): Promise<{ readonly v1: number; readonly v2: number }> {
  const start = stage.watch.reading;
  const enough = (now: Reading): boolean => shares(start, now).v1 + shares(start, now).v2 >= sales;
  return shares(start, await stage.watch.until("enough sales", MOVE_MS, (_, now) => enough(now)));
}

/** One step of the canary: its weights, how its effect shows first, and which shares of v2 among the sales are in order. */
interface Weighing {
  readonly v1: number;
  readonly v2: number;
  readonly effect: (stage: Stage, change: Edit) => Promise<readonly [what: string, seen: number]>;
  readonly least: number;
  readonly most: number;
}

async function lastOf(stage: Stage, change: Edit, counter: Counter): Promise<readonly [string, number]> {
  return [`last sale of ${counter === boughtV1 ? "v1" : "v2"}`, await untilStill(stage, change, [counter])];
}

/** The first look at the counters at which v2 has sold a share of at least so many books; sought with a rush of sales. */
async function shareOfV2(stage: Stage, share: number, sales: number): Promise<number> {
  const seen = stage.watch.until("v2's share to rise", MOVE_MS, (before, now) => {
    const { v1, v2 } = shares(before, now);
    return v2 > 0 && v1 + v2 >= sales && v2 >= (v1 + v2) * share;
  });
  const moment = seen.then(() => Date.now());
  return stage.watch.rushUntil(boughtV2.program, moment);
}

async function firstOfV2(stage: Stage): Promise<readonly [string, number]> {
  return ["first sale of v2", await shareOfV2(stage, 0, 1)];
}

/** A third of twelve is out of the ordinary for the tenth that v2 had before (one time in forty), and not for half. */
async function evenShare(stage: Stage): Promise<readonly [string, number]> {
  return ["a third and more from v2", await shareOfV2(stage, 1 / 3, 12)];
}

const CANARY: readonly Weighing[] = [
  { v1: 100, v2: 0, effect: (stage, change) => lastOf(stage, change, boughtV2), least: 0, most: 0 },
  { v1: 90, v2: 10, effect: firstOfV2, least: 0, most: 0.4 },
  { v1: 50, v2: 50, effect: evenShare, least: 0.15, most: 0.85 },
  { v1: 0, v2: 100, effect: (stage, change) => lastOf(stage, change, boughtV1), least: 1, most: 1 },
];

async function weigh(stage: Stage, { v1, v2, effect, least, most }: Weighing): Promise<void> {
  stage.screen.title(`TrafficSplit bookstore: v1 ${v1}, v2 ${v2}`);
  const failedBefore = numberOf(stage.watch.reading, buyerRefused.program, buyerRefused.name);
  const change = await edit(() => apply(stage, [splitManifest(v1, v2)]));
  const [what, seen] = await effect(stage, change);
  const sold = await sell(stage, SALES);
  const share = sold.v2 / (sold.v1 + sold.v2);
  if (share < least || share > most)
    throw new Error(`of ${sold.v1 + sold.v2} books v2 sold ${sold.v2}, with weights ${v1}/${v2}`);
  const failed = numberOf(stage.watch.reading, buyerRefused.program, buyerRefused.name) - failedBefore;
  proved(
    stage,
    `canary ${v1}/${v2}: ${what} seen ${after(change, seen)}; then v1 sold ${sold.v1}, v2 ${sold.v2}, ${failed} failed`,
  );
}

async function backToPermissive(stage: Stage): Promise<void> {
  stage.screen.title("Permissive mode again, policies and split deleted");
  const on = { traffic: { enablePermissiveTrafficPolicyMode: true } };
  const change = await edit(() => patchMeshConfig(stage.kubectl, on));
  await stage.watch.untilRisen([stolen], 1, MOVE_MS);
  const seen = Date.now();
  await stage.kubectl.must(["delete", "-f", "-"], asList([...accessManifests(), splitManifest(0, 100)]));
  await stage.watch.untilRisen([bought, stolen, restocked, boughtV1, boughtV2], 1, MOVE_MS);
  proved(stage, `permissive again: bookthief's first book ${after(change, seen)}; both versions sell`);
}

/**
 * From deny all to a canary release, by SMI's objects alone; bookstore-v2 joins on the way. Permissive mode is put back
 * as it was, whatever happens.
 */
export async function policyDecides(stage: Stage): Promise<void> {
  const before = (await readSwitches(stage.kubectl)).enablePermissiveTrafficPolicyMode;
  const stock = numberOf(stage.watch.reading, restocked.program, restocked.name);
  try {
    await everythingIsDenied(stage);
    await buyerIsAllowed(stage, stock);
    await secondVersionJoins(stage);
    for (const step of CANARY) await weigh(stage, step);
    const thefts = numberOf(stage.watch.reading, stolen.program, stolen.name);
    if (thefts > 0) throw new Error(`bookthief got ${thefts} books during the canary`);
    proved(stage, "bookthief is still at zero");
    await backToPermissive(stage);
  } finally {
    await patchMeshConfig(stage.kubectl, { traffic: { enablePermissiveTrafficPolicyMode: before } });
  }
}
