import { processHost } from "./host";
import { programName, runProgram } from "./program";

const name = programName(process.argv[1] ?? "");
void runProgram(process.argv.slice(2), processHost(), name).then(code => {
  // Open streams must not keep it alive, and what was written must be out first.
  process.stdout.write("", () => process.exit(code));
});
