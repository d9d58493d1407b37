import { systemClock } from "../../src/runtime/clock";
import type { Host } from "../../src/cli/host";
import { runProgram } from "../../src/cli/program";

/** How a run of the command ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a run of the command is given besides its arguments. */
export interface Given {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Answers to its questions, in order; none left: nobody is there. */
  readonly answers?: readonly string[];
  readonly stdin?: string;
}

/** Runs the `osm` command in this process. No kubeconfig and no configuration file but those named in `env`. */
export async function osm(args: readonly string[], given: Given = {}): Promise<Ended> {
  const said = { stdout: "", stderr: "" };
  const answers = [...(given.answers ?? [])];
  const host: Host = {
    env: { HOME: "/nonexistent", ...given.env },
    clock: systemClock,
    write: text => void (said.stdout += text),
    complain: text => void (said.stderr += text),
    ask: question => {
      said.stderr += `${question}\n`;
      return Promise.resolve(answers.shift());
    },
    readAll: () => Promise.resolve(given.stdin ?? ""),
  };
  const code = await runProgram(args, host);
  return { code, ...said };
}
