import { processHost } from "./host";
import { programName, runProgram } from "./program";

// Whoever reads no further (`osm … | head`) has what he wanted.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? 0 : 1);
});

const name = programName(process.argv[1] ?? "");
void runProgram(process.argv.slice(2), processHost(), name).then(code => {
  // Open streams must not keep it alive, and what was written must be out first.
  process.stdout.write("", () => process.exit(code));
});
