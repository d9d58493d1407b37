import * as grpc from "@grpc/grpc-js";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** A resource as a delta client has received it. */
export interface ReceivedResource {
  readonly name: string;
  readonly version: string;
  /** Bytes of the message inside the Any. */
  readonly body: Uint8Array;
}

/** A `DeltaDiscoveryResponse`. */
export interface ReceivedResponse {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly resources: readonly ReceivedResource[];
  readonly removed: readonly string[];
  readonly size: number;
}

/** What a client sends; fields that are absent are not on the wire. */
export interface ClientRequest {
  readonly nodeId?: string;
  readonly typeUrl: string;
  readonly subscribe?: readonly string[];
  readonly unsubscribe?: readonly string[];
  readonly initialVersions?: ReadonlyMap<string, string>;
  readonly nonce?: string;
  readonly error?: string;
}

/** How a client connects and answers. */
export interface AdsClientOptions {
  /** `host:port`. */
  readonly address: string;
  /** PEM of the root that verifies the server; undefined: no TLS. */
  readonly root?: string;
  /** Name the server's certificate must have. */
  readonly serverName?: string;
  readonly token?: string;
  /** PEM chain and key of a client certificate. */
  readonly certificate?: { readonly certPem: string; readonly keyPem: string };
  readonly nodeId?: string;
  /** Default: acknowledge everything at once. Return false to leave it unanswered, a string to refuse it. */
  readonly answer?: (response: ReceivedResponse) => boolean | string;
  readonly channelOptions?: grpc.ChannelOptions;
  /** Opens its stream on the connection of this client, which stays that client's to close. */
  readonly beside?: AdsClient;
}

/** How a stream ended. */
export interface StreamEnd {
  readonly code: grpc.status;
  readonly details: string;
}

function fields(bytes: Uint8Array, read: (field: number, reader: BinaryReader) => void): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    const start = reader.pos;
    if (wire === WireType.LengthDelimited) read(field, reader);
    if (reader.pos === start) reader.skip(wire, field);
  }
}

function decodeResource(bytes: Uint8Array): ReceivedResource {
  let [name, version, body] = ["", "", new Uint8Array()];
  fields(bytes, (field, reader) => {
    if (field === 1) version = reader.string();
    if (field === 3) name = reader.string();
    if (field !== 2) return;
    fields(reader.bytes(), (inner, any) => {
      if (inner === 2) body = Uint8Array.from(any.bytes());
    });
  });
  return { name, version, body };
}

/** Reads a `DeltaDiscoveryResponse`. */
export function decodeResponse(bytes: Uint8Array): ReceivedResponse {
  let [typeUrl, nonce] = ["", ""];
  const resources: ReceivedResource[] = [];
  const removed: string[] = [];
  fields(bytes, (field, reader) => {
    if (field === 2) resources.push(decodeResource(reader.bytes()));
    if (field === 4) typeUrl = reader.string();
    if (field === 5) nonce = reader.string();
    if (field === 6) removed.push(reader.string());
  });
  return { typeUrl, nonce, resources, removed, size: bytes.length };
}

function text(writer: BinaryWriter, field: number, value: string | undefined): void {
  if (value !== undefined) writer.tag(field, WireType.LengthDelimited).string(value);
}

function inner(writer: BinaryWriter, field: number, write: (inside: BinaryWriter) => void): void {
  const inside = new BinaryWriter();
  write(inside);
  writer.tag(field, WireType.LengthDelimited).bytes(inside.finish());
}

/** Serialises a `DeltaDiscoveryRequest`. */
export function encodeRequest(request: ClientRequest): Buffer {
  const writer = new BinaryWriter();
  const { nodeId, error } = request;
  if (nodeId !== undefined)
    inner(writer, 1, node => {
      text(node, 1, nodeId);
    });
  text(writer, 2, request.typeUrl);
  for (const name of request.subscribe ?? []) text(writer, 3, name);
  for (const name of request.unsubscribe ?? []) text(writer, 4, name);
  for (const [name, version] of request.initialVersions ?? []) {
    inner(writer, 5, entry => {
      text(entry, 1, name);
      text(entry, 2, version);
    });
  }
  text(writer, 6, request.nonce);
  if (error !== undefined)
    inner(writer, 7, status => {
      text(status, 2, error);
    });
  return Buffer.from(writer.finish());
}

const identity = (bytes: Buffer): Buffer => bytes;
const DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/**
 * A delta ADS client over real gRPC: it subscribes as told, keeps what it has accepted by name and version, and answers
 * every response like Envoy does.
 */
export class AdsClient {
  readonly responses: ReceivedResponse[] = [];
  /** Accepted versions by type and name. */
  readonly held = new Map<string, Map<string, ReceivedResource>>();
  ended: StreamEnd | undefined;
  onResponse: ((response: ReceivedResponse) => void) | undefined;
  private readonly client: grpc.Client;
  private readonly call: grpc.ClientDuplexStream<Buffer, Buffer>;
  private firstMessage = true;

  constructor(private readonly options: AdsClientOptions) {
    const { address, root, certificate, serverName } = options;
    const credentials =
      root === undefined
        ? grpc.credentials.createInsecure()
        : grpc.credentials.createSsl(
            Buffer.from(root),
            certificate ? Buffer.from(certificate.keyPem) : null,
            certificate ? Buffer.from(certificate.certPem) : null,
          );
    this.client =
      options.beside?.client ??
      new grpc.Client(address, credentials, {
        "grpc.max_receive_message_length": -1,
        "grpc.use_local_subchannel_pool": 1,
        "grpc.enable_channelz": 0,
        ...(serverName === undefined ? {} : { "grpc.ssl_target_name_override": serverName }),
        ...options.channelOptions,
      });
    const metadata = new grpc.Metadata();
    if (options.token !== undefined) metadata.set("authorization", `Bearer ${options.token}`);
    this.call = this.client.makeBidiStreamRequest(DELTA, identity, identity, metadata);
    this.call.on("data", (bytes: Buffer) => {
      this.receive(decodeResponse(bytes));
    });
    this.call.on("error", () => undefined);
    this.call.on("status", ({ code, details }: grpc.StatusObject) => {
      this.ended ??= { code, details };
    });
  }

  /** Sends a request; the first one carries the node. */
  send(request: ClientRequest): void {
    const nodeId = this.firstMessage ? (this.options.nodeId ?? "client") : undefined;
    this.firstMessage = false;
    this.call.write(encodeRequest({ ...(nodeId === undefined ? {} : { nodeId }), ...request }));
  }

  /** Sends bytes as they are. */
  sendRaw(bytes: Buffer): void {
    this.call.write(bytes);
  }

  /** Subscribes with what an earlier stream already holds. */
  resume(typeUrl: string, subscribe: readonly string[], held: AdsClient["held"]): void {
    const versions = new Map([...(held.get(typeUrl) ?? [])].map(([name, { version }]) => [name, version]));
    this.held.set(typeUrl, new Map(held.get(typeUrl)));
    this.send({ typeUrl, subscribe, initialVersions: versions });
  }

  /** Acknowledges, or refuses with a message. */
  reply(response: ReceivedResponse, error?: string): void {
    if (error === undefined) this.accept(response);
    const { typeUrl, nonce } = response;
    this.send({ typeUrl, nonce, ...(error === undefined ? {} : { error }) });
  }

  /** Versions held of a type, by name. */
  versions(typeUrl: string): Record<string, string> {
    const entries = [...(this.held.get(typeUrl) ?? [])].map(
      ([name, { version }]) => [name, version] as const,
    );
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** Stops and goes on reading. */
  pause(): void {
    this.call.pause();
  }
  resumeReading(): void {
    this.call.resume();
  }

  /** Ends the stream only. */
  cancel(): void {
    this.call.cancel();
  }

  close(): void {
    this.call.cancel();
    this.client.close();
  }

  private accept(response: ReceivedResponse): void {
    const held = this.held.get(response.typeUrl) ?? new Map<string, ReceivedResource>();
    this.held.set(response.typeUrl, held);
    for (const resource of response.resources) held.set(resource.name, resource);
    for (const name of response.removed) held.delete(name);
  }

  private receive(response: ReceivedResponse): void {
    this.responses.push(response);
    const answer = this.options.answer?.(response) ?? true;
    if (answer === true) this.reply(response);
    if (typeof answer === "string") this.reply(response, answer);
    this.onResponse?.(response);
  }
}
