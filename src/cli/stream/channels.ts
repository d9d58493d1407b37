import { randomBytes } from "node:crypto";
import type http from "node:http";
import type { Duplex } from "node:stream";
import type { KubeError } from "../../runtime/kube";
import { answerError, transportError } from "../../runtime/kube/errors";
import type { KubeCredentials } from "../../runtime/kube/credentials";
import { apiRequest } from "../api-request";
import { clientFrame, FrameReader, OPCODE, type Frame } from "./web-socket-frames";

/** Kubernetes' way of several streams over one WebSocket: the first byte of a message says which. */
const PROTOCOL = "v4.channel.k8s.io";
/** How long the API server and the kubelet behind it may take to begin. */
const OPEN_MS = 30_000;

/** Streams between this machine and something in a pod. */
export interface Channels {
  /** Sends bytes; `sent` is called when the connection has taken them. */
  send(channel: number, bytes: Buffer, sent?: () => void): void;
  /** Stops and continues reading. */
  setPaused(paused: boolean): void;
  /** Ends it; nothing arrives any more. */
  close(): void;
}

function upgrade(credentials: KubeCredentials, path: string): http.ClientRequest {
  const headers = {
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
    "Sec-WebSocket-Protocol": PROTOCOL,
  };
  return apiRequest(credentials, { path, silentMs: OPEN_MS, headers });
}

function refusal(what: string, response: http.IncomingMessage): Promise<KubeError> {
  return new Promise(resolve => {
    let body = "";
    response.setEncoding("utf8").on("data", (part: string) => (body += part));
    response.on("close", () => {
      resolve(answerError(what, { status: response.statusCode ?? 0, body, retryAfter: undefined }));
    });
  });
}

/** The connection after the server has agreed, and what it sent along with that. */
function opened(
  credentials: KubeCredentials,
  path: string,
): Promise<{ readonly socket: Duplex; readonly head: Buffer }> {
  const what = `GET ${path.split("?", 1)[0] ?? ""}`;
  return new Promise((resolve, reject) => {
    const request = upgrade(credentials, path);
    request.on("upgrade", (_, socket: Duplex, head: Buffer) => {
      resolve({ socket, head });
    });
    request.on("response", response => void refusal(what, response).then(reject));
    request.on("timeout", () => request.destroy(new Error("no answer")));
    request.on("error", error => {
      reject(transportError(what, error));
    });
    request.end();
  });
}

class SocketChannels implements Channels {
  private readonly reader = new FrameReader();
  /** Parts of a message that is not complete yet. */
  private pending: Buffer[] = [];
  private ended = false;

  constructor(
    private readonly socket: Duplex,
    private readonly stream: ChannelStream,
  ) {
    socket.on("error", error => {
      this.end(error);
    });
    socket.on("close", () => {
      this.end(new Error("the connection was cut"));
    });
  }

  take(bytes: Buffer): void {
    try {
      for (const frame of this.reader.push(bytes)) this.handle(frame);
    } catch (error) {
      this.end(error as Error);
    }
  }

  private handle({ opcode, final, payload }: Frame): void {
    if (this.ended) return;
    if (opcode === OPCODE.close) this.end();
    else if (opcode === OPCODE.ping) this.write(OPCODE.pong, payload);
    else if (opcode !== OPCODE.pong) {
      this.pending.push(payload);
      if (!final) return;
      const message = Buffer.concat(this.pending);
      this.pending = [];
      if (message.length > 0) this.stream.message(message[0] ?? 0, message.subarray(1));
    }
  }

  private write(opcode: number, payload: Buffer, sent?: () => void): void {
    this.socket.write(clientFrame(opcode, payload, randomBytes(4)), sent);
  }

  private end(error?: Error): void {
    if (this.ended) return;
    this.ended = true;
    this.socket.destroy();
    this.stream.finish(error);
  }

  send(channel: number, bytes: Buffer, sent?: () => void): void {
    if (this.ended) sent?.();
    else this.write(OPCODE.binary, Buffer.concat([Buffer.from([channel]), bytes]), sent);
  }

  setPaused(paused: boolean): void {
    if (paused) this.socket.pause();
    else this.socket.resume();
  }

  close(): void {
    if (this.ended) return;
    this.ended = true;
    this.write(OPCODE.close, Buffer.from([0x03, 0xe8]), () => {
      this.socket.destroy();
    });
  }
}

/** A stream of the caller's that channels are read into and written from. */
export interface ChannelStream {
  /** Gives it the way to write, once there is one. */
  attach(channels: Channels): void;
  /** A message of a channel; may come before {@link ChannelStream.attach}. */
  message(channel: number, bytes: Buffer): void;
  /** The end, once; with an error unless the server closed it in order. */
  finish(error?: Error): void;
}

/** Opens a stream of the API server (exec, port-forward) and joins it to the caller's. Rejects with {@link KubeError} when it is refused. */
export async function joinChannels<Stream extends ChannelStream>(
  credentials: KubeCredentials,
  path: string,
  stream: Stream,
): Promise<Stream> {
  const { socket, head } = await opened(credentials, path);
  const channels = new SocketChannels(socket, stream);
  if (head.length > 0) channels.take(head);
  socket.on("data", (bytes: Buffer) => {
    channels.take(bytes);
  });
  stream.attach(channels);
  return stream;
}
