import { spawn, type ChildProcessByStdio } from "node:child_process";
import type { Readable } from "node:stream";
import { until } from "../../cluster/progress";

type Child = ChildProcessByStdio<null, Readable, Readable>;

/** A capture that is running on one interface of one network namespace. */
export class Tcpdump {
  private readonly chunks: Buffer[] = [];
  private heard = "";
  private code: number | undefined;

  private constructor(private readonly child: Child) {
    child.stdout.on("data", (chunk: Buffer) => this.chunks.push(chunk));
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => (this.heard += chunk));
    child.once("error", error => {
      this.heard += String(error);
      this.code = -1;
    });
    child.once("exit", code => (this.code = code ?? -1));
  }

  /**
   * Starts to capture, in the network namespace of the process `pid`, the packets that `filter` (tcpdump's language)
   * selects; returns when it listens. Throws with tcpdump's words when it does not.
   */
  public static async start(pid: number, device: string, filter: string): Promise<Tcpdump> {
    const dump = ["tcpdump", "-i", device, "-s", "0", "-U", "--immediate-mode", "-w", "-", filter];
    const child = spawn("nsenter", [`--net=/proc/${pid}/ns/net`, ...dump], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const capture = new Tcpdump(child);
    await until(
      `tcpdump on ${device}`,
      10_000,
      () => {
        if (capture.heard.includes("listening on")) return true;
        return capture.code === undefined ? undefined : "ended";
      },
      50,
    );
    if (capture.code !== undefined) throw new Error(`tcpdump on ${device}: ${capture.heard.trim()}`);
    return capture;
  }

  /** What was captured so far, in libpcap's format. */
  public bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  /** Ends the capture. */
  public stop(): void {
    this.child.kill("SIGINT");
  }
}
