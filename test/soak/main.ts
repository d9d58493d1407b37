/** `npm run soak -- --minutes M`: whether the control plane keeps anything of what has come and gone. */
import { Command } from "commander";
import { runSoak } from "./run";

const command = new Command("soak")
  .description(
    "Proxies and policies come and go; what is left in the control plane is read after each quiet time.",
  )
  .option("--minutes <number>", "after which no further cycle begins", "30");

async function main({ minutes }: { readonly minutes: string }): Promise<void> {
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const findings = await runSoak({ forMs: Number(minutes) * 60_000, say });
  for (const finding of findings) say(`BROKEN ${finding}`);
  process.exit(findings.length === 0 ? 0 : 1);
}

main(command.parse().opts<{ minutes: string }>()).catch((error: unknown) => {
  process.stderr.write(`soak: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(1);
});
