import { APP_PORT, COUNTERS_PORT, wholeNumber, word, type Environment } from "./settings";
import { request, serve, type Answer, type Question, type Routes } from "./web";

/** Headers of the common tracing systems; a service hands them on so that one trace spans all hops. */
const TRACE_HEADERS = [
  "x-ot-span-context",
  "x-request-id",
  "uber-trace-id",
  "x-b3-traceid",
  "x-b3-spanid",
  "x-b3-parentspanid",
  "x-b3-sampled",
  "x-b3-flags",
];

/** Those headers of a request that belong to its trace. */
export function traceHeaders(headers: Question["headers"]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of TRACE_HEADERS) {
    const value = headers[name];
    if (typeof value === "string") found[name] = value;
  }
  return found;
}

/** Selling takes this long, in milliseconds: from 20 to 120, so that what a policy does is not waited for behind a sale. */
function sellingTime(): number {
  return 20 + Math.floor(Math.random() * 100);
}

class Bookstore {
  private booksSold = 0;
  private restockFailures = 0;

  public constructor(
    private readonly identity: string,
    private readonly warehouse: string,
    private readonly log: (line: string) => void,
  ) {}

  public pages(): Routes {
    const healthy = (): Answer => ({ body: "ok" });
    return {
      "/": () => this.show(),
      "/raw": () => this.show(),
      "/books-bought": question => this.booksBought(question),
      "/buy-a-book/new": question => this.sell(question),
      "/reset": () => {
        this.booksSold = 0;
        this.restockFailures = 0;
        return this.show();
      },
      "/liveness": healthy,
      "/readiness": healthy,
      "/startup": healthy,
    };
  }

  private show(): Answer {
    const body = {
      identity: this.identity,
      booksSold: this.booksSold,
      restockFailures: this.restockFailures,
    };
    return { headers: this.headers(), body };
  }

  private headers(): Record<string, string> {
    return { Booksbought: String(this.booksSold), Identity: this.identity };
  }

  /** A POST with a number sets the count; anything else shows it. */
  private booksBought(question: Question): Answer {
    const given = Number(question.body.trim() || Number.NaN);
    if (Number.isInteger(given) && given >= 0) this.booksSold = given;
    return this.show();
  }

  private async sell(question: Question): Promise<Answer> {
    this.booksSold += 1;
    void this.restock(traceHeaders(question.headers));
    await new Promise(resolve => setTimeout(resolve, sellingTime()));
    return { headers: this.headers(), body: { booksSold: this.booksSold } };
  }

  private async restock(headers: Record<string, string>): Promise<void> {
    const body = JSON.stringify({ store: this.identity, books: 1 });
    try {
      const reply = await request({ url: `http://${this.warehouse}/restock-books`, headers, body });
      if (reply.status === 200) return;
      this.log(`restocking: ${reply.status} ${reply.body.trim()}`);
    } catch (error) {
      this.log(`restocking: ${String(error)}`);
    }
    this.restockFailures += 1;
  }
}

/** Sells books under `IDENTITY` and asks the warehouse for one more after each. */
export async function bookstore(env: Environment, log: (line: string) => void): Promise<void> {
  const namespace = word(env, "BOOKWAREHOUSE_NAMESPACE", "bookwarehouse");
  const warehouse = `${word(env, "WAREHOUSE_SVC", "bookwarehouse")}.${namespace}:${APP_PORT}`;
  const identity = word(env, "IDENTITY", "unidentified");
  const store = new Bookstore(identity, warehouse, log);
  await serve(wholeNumber(env, "PORT", APP_PORT), store.pages());
  await serve(COUNTERS_PORT, store.pages());
  log(`${identity} sells books and restocks at ${warehouse}`);
}
