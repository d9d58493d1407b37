import { RestockLedger } from "./restock-ledger";
import { APP_PORT, COUNTERS_PORT, type Environment } from "./settings";
import { serve, type Answer, type Question, type Routes } from "./web";

/** An order of a bookstore. */
interface Order {
  readonly store: string;
  readonly books: number;
}

/** Reads an order. Throws when it is none. */
export function parseOrder(body: string): Order {
  const given: unknown = JSON.parse(body);
  if (typeof given !== "object" || given === null) throw new Error("an order is an object");
  const { store, books } = given as Partial<Record<string, unknown>>;
  if (typeof store !== "string" || store.length > 64) throw new Error("store: a name is needed");
  if (typeof books !== "number" || !Number.isInteger(books) || books < 1 || books > 1000) {
    throw new Error("books: a number from 1 to 1000 is needed");
  }
  return { store, books };
}

function pages(ledger: RestockLedger): Routes {
  let failures = 0;
  const show = async (): Promise<Answer> => ({ body: { booksRestocked: await ledger.total(), failures } });
  return {
    "/": show,
    "/raw": show,
    "/restock-books": async (question: Question) => {
      const order = parseOrder(question.body);
      try {
        await ledger.add(order.store, order.books);
      } catch (error) {
        failures += 1;
        throw error;
      }
      return { body: { restocked: order.books } };
    },
    "/reset": async () => {
      await ledger.clear();
      return show();
    },
    "/liveness": () => ({ body: "ok" }),
  };
}

/** Takes orders and writes them to the database; what `/raw` shows is the database's own sum. */
export async function bookwarehouse(env: Environment, log: (line: string) => void): Promise<void> {
  const routes = pages(new RestockLedger(env));
  await serve(APP_PORT, routes);
  await serve(COUNTERS_PORT, routes);
  log("bookwarehouse takes orders");
}
