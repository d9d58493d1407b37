import { execFileSync } from "node:child_process";
import { goProgram } from "./go-program";

/** A leaf to be judged. */
export interface GoQuestion {
  /** PEM, the leaf first. */
  readonly chain: string;
  /** PEM. */
  readonly roots: string;
  /** The one name it has to have. */
  readonly uri: string;
}

/** What Go's crypto/x509 says of each leaf, in order: `ok`, or what is wrong. */
export function judgedByGo(questions: readonly GoQuestion[]): readonly string[] {
  const input = questions.map(question => `${JSON.stringify(question)}\n`).join("");
  const output = execFileSync(goProgram("verify-leaves"), {
    input,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  return output.trimEnd().split("\n");
}
