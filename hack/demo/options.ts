import { parseArgs } from "node:util";

/** What the user asked for. */
export interface DemoOptions {
  /** Leave the demo's namespaces when it is over. */
  readonly keep: boolean;
  /** Take the embedded cluster down when it is over. */
  readonly down: boolean;
  /** Work on the user's own cluster without asking. */
  readonly yes: boolean;
  /** Seconds for which the table is shown after the last step. */
  readonly duration: number;
  /** Print the demo's manifests and do nothing else. */
  readonly print: boolean;
  readonly help: boolean;
}

/** How to call the demo. */
export const USAGE = `npm run demo -- [options]
  --duration SECONDS  how long the counters are shown after the last step (default 30)
  --keep              leave the cluster and the demo's namespaces running at the end
  --down              take the embedded cluster down at the end even if it ran before
                      (default: down if the demo has started it)
  --yes               do not ask before working on your own cluster (OSM_CLUSTER=kubeconfig)
  --print             print the demo's manifests for kubectl apply -f - and do nothing else`;

/** Reads the command line. Throws for what {@link USAGE} does not name. */
export function parseOptions(args: readonly string[]): DemoOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      keep: { type: "boolean", default: false },
      down: { type: "boolean", default: false },
      yes: { type: "boolean", default: false },
      duration: { type: "string", default: "30" },
      print: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const duration = Number(values.duration);
  if (!Number.isInteger(duration) || duration < 0) throw new Error("--duration: a whole number of seconds");
  return { ...values, duration };
}
