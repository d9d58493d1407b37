import { wholeNumber, type Environment } from "./settings";

type Program = (env: Environment, log: (line: string) => void) => Promise<void>;

/** Each program is loaded only when it is the one that runs. */
const PROGRAMS: Readonly<Record<string, () => Promise<Program>>> = {
  bookbuyer: async () => {
    const { runShopper } = await import("./shopper");
    return (env, log) =>
      runShopper({ name: "bookbuyer", counter: "booksBought", expectedCode: 200 }, env, log);
  },
  bookthief: async () => {
    const { runShopper } = await import("./shopper");
    return (env, log) => {
      const expectedCode = wholeNumber(env, "BOOKTHIEF_EXPECTED_RESPONSE_CODE", 404);
      return runShopper({ name: "bookthief", counter: "booksStolen", expectedCode }, env, log);
    };
  },
  bookstore: async () => (await import("./bookstore")).bookstore,
  bookwarehouse: async () => (await import("./bookwarehouse")).bookwarehouse,
  bookpublisher: async () => (await import("./bookpublisher")).bookpublisher,
  knock: async () => {
    const { knock } = await import("./knock");
    return async () => {
      process.stdout.write(`${JSON.stringify(await knock(process.argv.slice(3)))}\n`);
    };
  },
};

async function main(): Promise<void> {
  const name = process.argv[2] ?? "";
  const load = Object.hasOwn(PROGRAMS, name) ? PROGRAMS[name] : undefined;
  if (load === undefined) throw new Error(`which program? One of ${Object.keys(PROGRAMS).join(", ")}`);
  // The first process of a container gets no default action for signals.
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));
  const log = (line: string): void => {
    process.stdout.write(`${new Date().toISOString()} ${line}\n`);
  };
  await (
    await load()
  )(process.env, log);
}

main().catch((error: unknown) => {
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
