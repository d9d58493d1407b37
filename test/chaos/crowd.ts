import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { repositoryRoot } from "../../hack/cluster/settings";
import type { FromCrowd, HeldVersions, ToCrowd } from "../support/crowd-app";

/** Simulated proxies in a process of their own. */
export class Crowd {
  private questions = 0;

  private constructor(private readonly child: ChildProcess) {}

  static start(): Crowd {
    const program = path.join(repositoryRoot(), "test/support/crowd-app.ts");
    const stdio = ["ignore", "inherit", "inherit", "ipc"] as const;
    return new Crowd(spawn(process.execPath, ["--import", "tsx", program], { stdio: [...stdio] }));
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  join(message: Omit<Extract<ToCrowd, { kind: "join" }>, "kind">): void {
    this.send({ kind: "join", ...message });
  }

  leave(names: readonly string[]): void {
    this.send({ kind: "leave", names });
  }

  /** What its proxies hold, by name. */
  held(): Promise<Readonly<Record<string, HeldVersions>>> {
    const id = ++this.questions;
    return new Promise((resolve, reject) => {
      const gone = (): void => {
        reject(new Error("the simulated proxies' process is gone"));
      };
      const listen = (message: FromCrowd): void => {
        if (message.id !== id) return;
        this.child.off("message", listen);
        this.child.off("exit", gone);
        resolve(message.held);
      };
      this.child.once("exit", gone);
      this.child.on("message", listen);
      this.send({ kind: "held", id });
    });
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, "exit");
    this.child.kill("SIGKILL");
    await ended;
  }

  private send(message: ToCrowd): void {
    this.child.send(message);
  }
}
