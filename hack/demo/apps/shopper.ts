import { APP_PORT, COUNTERS_PORT, isOn, wholeNumber, word, type Environment } from "./settings";
import { request, serve, type Answer, type Routes } from "./web";

/** What bookbuyer and bookthief differ in. */
export interface ShopperKind {
  readonly name: "bookbuyer" | "bookthief";
  /** What the counters call a book in hand. */
  readonly counter: "booksBought" | "booksStolen";
  /** Response code that counts as this program's success; 0 is any. */
  readonly expectedCode: number;
}

/** Counters of one shopper. */
export interface ShopperCounters {
  total: number;
  v1: number;
  v2: number;
  /** Requests to the bookstore that got no book. */
  failed: number;
  /** Calls to places outside the mesh that were answered. */
  outsideAnswered: number;
  /** Calls to places outside the mesh that were not answered. */
  outsideRefused: number;
}

/** Counters at zero. */
export function freshCounters(): ShopperCounters {
  return { total: 0, v1: 0, v2: 0, failed: 0, outsideAnswered: 0, outsideRefused: 0 };
}

/** What `/raw` shows: the books under the shopper's own word for having them. */
export function rawCounters(kind: ShopperKind, counters: ShopperCounters): Record<string, number> {
  return {
    [kind.counter]: counters.total,
    [`${kind.counter}V1`]: counters.v1,
    [`${kind.counter}V2`]: counters.v2,
    failed: counters.failed,
    outsideAnswered: counters.outsideAnswered,
    outsideRefused: counters.outsideRefused,
  };
}

/** Adds one book to the version that the bookstore's `Identity` header names. */
export function countBook(counters: ShopperCounters, identity: string): void {
  counters.total += 1;
  if (identity.startsWith("bookstore-v1")) counters.v1 += 1;
  if (identity.startsWith("bookstore-v2")) counters.v2 += 1;
}

/** One who shops: at `store` (host and port), counting. */
export interface Shopper {
  readonly kind: ShopperKind;
  readonly env: Environment;
  readonly store: string;
  readonly counters: ShopperCounters;
  readonly log: (line: string) => void;
}

/** bookthief sends bookbuyer's header on purpose: only its identity may tell them apart. */
const HEADERS = { "client-app": "bookbuyer", "user-agent": "Go-http-client/1.1" };

async function visit(shopper: Shopper, path: string): Promise<number> {
  const url = `http://${shopper.store}${path}`;
  try {
    const reply = await request({ url, headers: HEADERS });
    const identity = reply.headers["identity"];
    if (path === "/buy-a-book/new" && reply.status === 200)
      countBook(shopper.counters, String(identity ?? ""));
    return reply.status;
  } catch (error) {
    shopper.log(`${url}: ${String(error)}`);
    return 0;
  }
}

/** A fresh connection each time: what is open already may stay open when egress is switched off. */
async function lookOutside(shopper: Shopper): Promise<void> {
  const fallback = "http://edition.cnn.com/ http://github.com/";
  for (const url of word(shopper.env, "EGRESS_URLS", fallback).split(/\s+/)) {
    const answered = await request({ url, timeoutMs: 2_000, fresh: true }).then(
      reply => reply.status < 500,
      () => false,
    );
    if (answered) shopper.counters.outsideAnswered += 1;
    else shopper.counters.outsideRefused += 1;
  }
}

/**
 * The pages of one round. Some look at the list twice: with always two requests a round, proxies that take turns between
 * two versions would hand every list to one and every sale to the other.
 */
function pagesOfRound(): readonly string[] {
  const list = Math.random() < 0.5 ? ["/books-bought"] : ["/books-bought", "/books-bought"];
  return [...list, "/buy-a-book/new"];
}

/** One round: look at the list, buy a book, and look outside when told to. Gives whether it went as expected. */
async function round(shopper: Shopper): Promise<boolean> {
  let good = true;
  for (const path of pagesOfRound()) {
    const code = await visit(shopper, path);
    const expected = shopper.kind.expectedCode;
    if (code !== 200) shopper.counters.failed += 1;
    if (expected === 0 || code === expected) continue;
    good = false;
    shopper.log(`ERROR: response code for http://${shopper.store}${path} is ${code}; expected ${expected}`);
  }
  if (isOn(shopper.env, "ENABLE_EGRESS")) await lookOutside(shopper);
  return good;
}

async function shop(shopper: Shopper): Promise<void> {
  const pauseMs = 1000 * wholeNumber(shopper.env, "CI_SLEEP_BETWEEN_REQUESTS_SECONDS", 1);
  const wanted = wholeNumber(shopper.env, "CI_MIN_SUCCESS_THRESHOLD", 1);
  const most = wholeNumber(shopper.env, "CI_MAX_ITERATIONS_THRESHOLD", 0);
  let successes = 0;
  for (let rounds = 1; most === 0 || rounds <= most; rounds += 1) {
    if (await round(shopper)) successes += 1;
    if (successes === wanted) shopper.log("MAESTRO! THIS TEST SUCCEEDED!");
    await new Promise(resolve => setTimeout(resolve, pauseMs));
  }
}

/** Books of a rush: that none of them comes from a version with a tenth of the sales happens once in 150 times. */
export const RUSH_BOOKS = 48;

/** Books of a rush that are bought at the same time. */
const RUSH_ABREAST = 8;

/** Buys as many books as quickly as they are sold, so that shares show at once. Gives how many requests failed. */
export async function rush(shopper: Shopper): Promise<number> {
  let left = RUSH_BOOKS;
  let failed = 0;
  const buy = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      if ((await visit(shopper, "/buy-a-book/new")) !== 200) failed += 1;
    }
  };
  await Promise.all(Array.from({ length: RUSH_ABREAST }, buy));
  shopper.counters.failed += failed;
  return failed;
}

function pages(shopper: Shopper): Routes {
  const current = (): Answer => ({ body: rawCounters(shopper.kind, shopper.counters) });
  return {
    "/": () => ({
      body: `${shopper.kind.name}: ${JSON.stringify(rawCounters(shopper.kind, shopper.counters))}`,
    }),
    "/raw": current,
    "/rush": async () => ({ body: { books: RUSH_BOOKS, failed: await rush(shopper) } }),
    "/reset": () => {
      Object.assign(shopper.counters, freshCounters());
      return current();
    },
  };
}

/** Serves the pages and shops for ever, or for `CI_MAX_ITERATIONS_THRESHOLD` rounds on each connection. */
export async function runShopper(
  kind: ShopperKind,
  env: Environment,
  log: (line: string) => void,
): Promise<void> {
  const namespace = word(env, "BOOKSTORE_NAMESPACE", "bookstore");
  const store = `${word(env, "BOOKSTORE_SVC", "bookstore")}.${namespace}:${APP_PORT}`;
  const shopper: Shopper = { kind, env, store, counters: freshCounters(), log };
  await serve(APP_PORT, pages(shopper));
  await serve(COUNTERS_PORT, pages(shopper));
  log(`${word(env, "IDENTITY", kind.name)} shops at ${store}`);
  const shoppers = wholeNumber(env, "CI_CLIENT_CONCURRENT_CONNECTIONS", 1);
  await Promise.all(Array.from({ length: shoppers }, () => shop(shopper)));
}
