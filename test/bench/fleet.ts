/** A process full of simulated proxies: one TLS connection and one delta stream each, every response acknowledged. */
import * as grpc from "@grpc/grpc-js";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { ADS_SAN } from "../../src/model/mesh-words";
import { TYPE_URLS } from "../../src/xds/resource";
import { encodeRequest } from "../support/ads-client";
import { monotonic, type FromFleet, type ToFleet } from "./protocol";

const DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const identity = (bytes: Buffer): Buffer => bytes;
/** Types in the order Envoy asks for them; names of routes and endpoints are not followed, all are wanted. */
const SUBSCRIPTIONS = [
  { typeUrl: TYPE_URLS.cluster },
  { typeUrl: TYPE_URLS.endpoint, subscribe: ["*"] },
  { typeUrl: TYPE_URLS.secret, subscribe: ["service-cert", "root-cert-for-mtls"] },
  { typeUrl: TYPE_URLS.listener },
  { typeUrl: TYPE_URLS.route, subscribe: ["*"] },
];
/** Connections opened at once. */
const CONNECTING = 50;

interface Header {
  readonly typeUrl: string;
  readonly nonce: string;
}

function headerOf(bytes: Uint8Array): Header {
  const reader = new BinaryReader(bytes);
  const header = { typeUrl: "", nonce: "" };
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (wire === WireType.LengthDelimited && field === 4) header.typeUrl = reader.string();
    else if (wire === WireType.LengthDelimited && field === 5) header.nonce = reader.string();
    else reader.skip(wire, field);
  }
  return header;
}

/** Pause before a proxy whose stream failed comes again, milliseconds. */
const RECONNECT_MS = 500;

class Proxy {
  readonly answered = new Set<string>();
  onAnswer: ((typeUrl: string) => void) | undefined;
  private closed = false;
  private end: () => void = () => undefined;

  constructor(
    private readonly address: string,
    private readonly credentials: grpc.ChannelCredentials,
    private readonly token: string,
  ) {
    this.open();
  }

  private open(): void {
    const client = new grpc.Client(this.address, this.credentials, {
      "grpc.ssl_target_name_override": ADS_SAN,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_receive_message_length": -1,
      "grpc.enable_channelz": 0,
    });
    const metadata = new grpc.Metadata();
    metadata.set("authorization", `Bearer ${this.token}`);
    const call = client.makeBidiStreamRequest(DELTA, identity, identity, metadata);
    this.end = () => {
      call.cancel();
      client.close();
    };
    call.on("error", error => {
      client.close();
      if (this.closed) return;
      process.stderr.write(`proxy: ${error.message}\n`);
      setTimeout(() => {
        if (!this.closed) this.open();
      }, RECONNECT_MS);
    });
    call.on("data", (bytes: Buffer) => {
      const { typeUrl, nonce } = headerOf(bytes);
      call.write(encodeRequest({ typeUrl, nonce }));
      this.answered.add(typeUrl);
      this.onAnswer?.(typeUrl);
    });
    for (const [index, request] of SUBSCRIPTIONS.entries()) {
      call.write(encodeRequest(index === 0 ? { nodeId: "bench", ...request } : request));
    }
  }

  /** Resolves when every type has been answered once. */
  configured(): Promise<void> {
    return new Promise(resolve => {
      const look = (): void => {
        if (SUBSCRIPTIONS.every(({ typeUrl }) => this.answered.has(typeUrl))) resolve();
      };
      this.onAnswer = look;
      look();
    });
  }

  close(): void {
    this.closed = true;
    this.end();
  }
}

const proxies: Proxy[] = [];
const say = (message: FromFleet): void => void process.send?.(message);

async function connect(message: Extract<ToFleet, { kind: "connect" }>): Promise<void> {
  const credentials = grpc.credentials.createSsl(Buffer.from(message.root));
  const left = [...message.tokens];
  const work = async (): Promise<void> => {
    for (let token = left.pop(); token !== undefined; token = left.pop()) {
      const proxy = new Proxy(message.address, credentials, token);
      proxies.push(proxy);
      await proxy.configured();
    }
  };
  await Promise.all(Array.from({ length: CONNECTING }, work));
  say({ kind: "configured" });
}

function expectAnswers(typeUrl: string, count: number): void {
  let [missing, first] = [count, 0];
  for (const proxy of proxies) {
    let counted = false;
    proxy.onAnswer = answered => {
      if (counted || answered !== typeUrl) return;
      counted = true;
      missing -= 1;
      const now = monotonic();
      if (first === 0) first = now;
      if (missing === 0) say({ kind: "done", first, last: now });
    };
  }
  say({ kind: "armed" });
}

process.on("message", (message: ToFleet) => {
  if (message.kind === "connect") void connect(message);
  else if (message.kind === "expect") expectAnswers(message.typeUrl, message.proxies ?? proxies.length);
  else {
    for (const proxy of proxies.splice(message.proxies)) proxy.close();
    say({ kind: "kept" });
  }
});
process.on("disconnect", () => process.exit(0));
