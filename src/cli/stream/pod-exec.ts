import { Duplex } from "node:stream";
import type { KubeCredentials } from "../../runtime/kube/credentials";
import { CommandError } from "../failure";
import { joinChannels, type Channels, type ChannelStream } from "./channels";

/** A program in a container of a pod. */
export interface PodProgram {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly command: readonly string[];
}

const [STDIN, STDOUT, STDERR, STATUS] = [0, 1, 2, 3] as const;
/** So much of what a program complains of is quoted. */
const QUOTED = 300;

interface Status {
  readonly status?: string;
  readonly message?: string;
}

/** A program's standard input and output as one stream. */
class ProgramStream extends Duplex implements ChannelStream {
  private channels: Channels | undefined;
  private complaint = "";

  constructor(private readonly program: PodProgram) {
    super({ allowHalfOpen: true });
  }

  attach(channels: Channels): void {
    this.channels = channels;
  }

  message(channel: number, bytes: Buffer): void {
    if (channel === STDOUT && !this.push(bytes)) this.channels?.setPaused(true);
    if (channel === STDERR) this.complaint = (this.complaint + bytes.toString("utf8")).slice(-QUOTED);
    if (channel === STATUS) this.ended(JSON.parse(bytes.toString("utf8")) as Status);
  }

  /** What the server says at the end. */
  private ended({ status, message = "it failed" }: Status): void {
    if (status === "Success") this.push(null);
    else this.destroy(this.failure(this.complaint.trim() || message));
  }

  finish(error?: Error): void {
    if (this.readableEnded || this.destroyed) return;
    if (error === undefined) this.push(null);
    else this.destroy(this.failure(error.message));
  }

  private failure(why: string): CommandError {
    const { namespace, pod, container, command } = this.program;
    return new CommandError(
      `${command[0] ?? ""} in container ${container} of pod ${namespace}/${pod}: ${why}`,
    );
  }

  override _read(): void {
    this.channels?.setPaused(false);
  }
  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.channels?.send(STDIN, chunk, done);
  }
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.channels?.close();
    done(error);
  }
}

/**
 * Starts a program in a container through the API server. Needs `create` and `get` of `pods/exec`. Rejects with a KubeError when it is
 * refused; the stream fails with {@link CommandError}, in the program's own words, when it does not succeed.
 */
export async function openPodExec(credentials: KubeCredentials, program: PodProgram): Promise<Duplex> {
  const { namespace, pod, container, command } = program;
  const query = new URLSearchParams({ container, stdin: "true", stdout: "true", stderr: "true" });
  for (const word of command) query.append("command", word);
  const path = `/api/v1/namespaces/${namespace}/pods/${pod}/exec?${query.toString()}`;
  return joinChannels(credentials, path, new ProgramStream(program));
}
