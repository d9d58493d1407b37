import { Duplex } from "node:stream";
import type { KubeCredentials } from "../../runtime/kube/credentials";
import { CommandError } from "../failure";
import { joinChannels, type Channels, type ChannelStream } from "./channels";

/** A port that something in a pod listens on, also on its loopback only. */
export interface PodPort {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

const DATA = 0;
const ERROR = 1;

/** The port as a stream over the API server, as `kubectl port-forward` reaches it. */
class PodPortStream extends Duplex implements ChannelStream {
  private channels: Channels | undefined;
  /** Channels whose first message, the port's number, has been read. */
  private readonly greeted = new Set<number>();

  constructor(private readonly target: PodPort) {
    super({ allowHalfOpen: false });
  }

  attach(channels: Channels): void {
    this.channels = channels;
  }

  message(channel: number, bytes: Buffer): void {
    if (!this.greeted.has(channel)) {
      this.greeted.add(channel);
      return;
    }
    if (channel === DATA && !this.push(bytes)) this.channels?.setPaused(true);
    if (channel === ERROR && bytes.length > 0) this.destroy(this.failure(bytes.toString("utf8")));
  }

  finish(error?: Error): void {
    if (error === undefined) this.push(null);
    else this.destroy(this.failure(error.message));
  }

  private failure(why: string): CommandError {
    const { namespace, pod, port } = this.target;
    const short = why.includes("connection refused")
      ? "nobody listens"
      : (why.trim().split("\n", 1)[0] ?? "");
    return new CommandError(`port ${port} of pod ${namespace}/${pod}: ${short}`);
  }

  override _read(): void {
    this.channels?.setPaused(false);
  }
  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.channels?.send(DATA, chunk, done);
  }
  override _final(done: () => void): void {
    done();
  }
  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.channels?.close();
    done(error);
  }
}

/**
 * Connects to a port of a pod through the API server: one connection, like a socket. Needs `create` and `get` of `pods/portforward`.
 * Rejects with a KubeError when it is refused; the stream fails with {@link CommandError} when nobody listens.
 */
export async function openPodPort(credentials: KubeCredentials, target: PodPort): Promise<Duplex> {
  const { namespace, pod, port } = target;
  const path = `/api/v1/namespaces/${namespace}/pods/${pod}/portforward?ports=${port}`;
  return joinChannels(credentials, path, new PodPortStream(target));
}
