/** `npm run soak -- --minutes M`: whether the control plane keeps anything of what has come and gone. */
import { Command } from "commander";
import { runSoak } from "./run";

const command = new Command("soak")
  .description(
    "Proxies and policies come and go; what is left in the control plane is read after each quiet time.",
  )
  .option("--minutes <number>", "after which no further cycle begins", "30")
  .option("--machine-code", "let the process make machine code, as in production")
  .option("--snapshots", "keep a snapshot of the heap after each cycle");

interface Options {
  readonly minutes: string;
  readonly machineCode?: boolean;
  readonly snapshots?: boolean;
}

async function main({ minutes, machineCode = false, snapshots = false }: Options): Promise<void> {
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const findings = await runSoak({ forMs: Number(minutes) * 60_000, machineCode, snapshots, say });
  for (const finding of findings) say(`BROKEN ${finding}`);
  process.exit(findings.length === 0 ? 0 : 1);
}

main(command.parse().opts<Options>()).catch((error: unknown) => {
  process.stderr.write(`soak: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(1);
});
