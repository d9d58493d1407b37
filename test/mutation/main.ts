/** `npm run mutation [-- FILES…]`: changes the source in one place after the other, and counts which changes no test notices. */
import { Command } from "commander";
import { Progress, toStderr } from "../../hack/cluster/progress";
import { verdict } from "../support/verdict";
import { wantedAreas } from "./areas";
import { figuresOf, LEAST_SCORE, scoreOf, sum, survivors, tallies, tallyOf, type Tally } from "./report";
import { mutate } from "./stryker";

const command = new Command("mutation")
  .description("Which changes of the translator and of the authoriser no test notices.")
  .argument("[files...]", "files or folders, with `:FROM-TO` only those lines; default all")
  .option("--concurrency <number>", "processes beside each other", "2")
  .option(
    "--again",
    "believe the last run about mutants for which neither they nor their tests have changed",
  );

interface Options {
  readonly concurrency: string;
  readonly again?: boolean;
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function rowOf(file: string, tally: Tally): string {
  const { killed, timeouts, survived, noCoverage, static: loaded, texts, unusable } = tally;
  const rest = `${loaded} static and ${texts} texts left out, ${unusable} unusable`;
  return `${file}: ${scoreOf(tally)} % (${killed} killed, ${timeouts} timeouts, ${survived} survived, ${noCoverage} uncovered; ${rest})`;
}

async function main(asked: readonly string[], { concurrency, again = false }: Options): Promise<boolean> {
  const progress = new Progress(toStderr);
  const folders = new Map<string, Tally>();
  for (const area of wantedAreas(asked)) {
    const report = await mutate(area, { concurrency: Number(concurrency), again }, progress);
    for (const [file, tally] of tallies(report)) {
      say(rowOf(file, tally));
      folders.set(area.folder, sum(tally, folders.get(area.folder) ?? tallyOf([])));
    }
    for (const line of survivors(report)) say(line);
  }
  for (const [folder, tally] of folders)
    verdict(`L-04: mutants of ${folder}`, scoreOf(tally) >= LEAST_SCORE, figuresOf(tally));
  return [...folders.values()].every(tally => scoreOf(tally) >= LEAST_SCORE);
}

command.parse();
main(command.args, command.opts<Options>()).then(
  good => process.exit(good ? 0 : 1),
  (error: unknown) => {
    process.stderr.write(`mutation: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  },
);
