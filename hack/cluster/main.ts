import { down } from "./down";
import { toStderr } from "./progress";
import { clusterSettings } from "./settings";
import { printStatus } from "./status";
import { up } from "./up";

const USAGE = "usage: main.ts up | down | status [--kubeconfig]";

/** Runs the command; answers go to standard output, progress to standard error. */
async function main(args: readonly string[]): Promise<number> {
  const [command] = args;
  if (command === "up") await up(toStderr);
  else if (command === "down") await down(toStderr);
  else if (command === "status") return printStatus(clusterSettings(), args.includes("--kubeconfig"));
  else {
    toStderr(USAGE);
    return 2;
  }
  return 0;
}

main(process.argv.slice(2)).then(
  code => {
    process.exitCode = code;
  },
  (error: unknown) => {
    toStderr(`error: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  },
);
