import path from "node:path";
import { ChildProgram } from "./child-program";
import type { HeapServer } from "./heap-server-app";

/** An ADS server in a process of its own, whose memory can be looked through. */
export function startHeapServer(): ChildProgram<HeapServer> {
  return ChildProgram.start<HeapServer>(path.join(__dirname, "heap-server-app.ts"));
}
