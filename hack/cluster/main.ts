import { down } from "./down";
import { toStderr } from "./progress";
import { clusterSettings } from "./settings";
import { printStatus } from "./status";
import { up } from "./up";

const USAGE = "usage: main.ts up | down | status [--kubeconfig]";

/** Runs the command; answers go to standard output, progress to standard error. */
async function main(args: readonly string[]): Promise<number> {
  switch (args[0]) {
    case "up":
      await up(toStderr);
      return 0;
    case "down":
      await down(toStderr);
      return 0;
    case "status":
      return printStatus(clusterSettings(), args.includes("--kubeconfig"));
    default:
      toStderr(USAGE);
      return 2;
  }
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
