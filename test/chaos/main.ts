/** `npm run chaos -- --seed N --minutes M`: see docs/decisions/0060-chaos-and-soak.md; a seed gives the same faults again. */
import { randomInt } from "node:crypto";
import { Command } from "commander";
import { runChaos } from "./run";

interface Options {
  readonly seed?: string;
  readonly minutes: string;
  readonly replicas: string;
  readonly crowd: string;
}

const command = new Command("chaos")
  .description(
    "Random faults on a mesh of real parts on this machine, with its invariants watched all the time.",
  )
  .option("--seed <number>", "of the faults; default: a random one, which is printed")
  .option("--minutes <number>", "after which no further round begins", "20")
  .option("--replicas <number>", "processes of the control plane", "3")
  .option("--crowd <number>", "simulated proxies", "16");

async function main(options: Options): Promise<void> {
  const seed = options.seed === undefined ? randomInt(2 ** 31) : Number(options.seed);
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const { minutes, replicas, crowd } = options;
  const again = `--seed ${seed} --minutes ${minutes} --replicas ${replicas} --crowd ${crowd}`;
  say(`seed ${seed}; again: npm run chaos -- ${again}`);
  const ending = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const)
    process.once(name, () => {
      say(`${name}: ends after this round`);
      ending.abort();
    });
  const { findings, rounds, faults, requests } = await runChaos({
    seed,
    forMs: Number(options.minutes) * 60_000,
    replicas: Number(options.replicas),
    crowd: Number(options.crowd),
    say,
    signal: ending.signal,
  });
  say(`seed ${seed}: ${rounds} rounds, ${faults} faults, ${requests} requests, ${findings.length} broken`);
  for (const finding of findings) say(`BROKEN ${finding}`);
  process.exit(findings.length === 0 ? 0 : 1);
}

main(command.parse().opts<Options>()).catch((error: unknown) => {
  process.stderr.write(`chaos: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(1);
});
