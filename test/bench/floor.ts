/**
 * The least that a send with its acknowledgement costs: a grpc-js server with TLS that does nothing but to write the same
 * bytes to every stream, as often as it is told, and to take the answers.
 */
import * as grpc from "@grpc/grpc-js";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { TYPE_URLS } from "../../src/xds/resource";

/** To the floor: first with what it presents, then a number of sends each. */
export type ToFloor =
  | { readonly kind: "start"; readonly certPem: string; readonly keyPem: string }
  | { readonly kind: "send"; readonly bytes: number };

/** From it. */
export interface FloorStarted {
  readonly port: number;
}

const PATH = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const asIs = (bytes: Buffer): Buffer => bytes;
const streams = new Set<grpc.ServerDuplexStream<Buffer, Buffer>>();

/** A response with one resource of that many bytes. */
function response(size: number): Buffer {
  const body = new BinaryWriter().tag(2, WireType.LengthDelimited).bytes(new Uint8Array(size)).finish();
  const resource = new BinaryWriter()
    .tag(3, WireType.LengthDelimited)
    .string("floor")
    .tag(2, WireType.LengthDelimited)
    .bytes(body);
  const message = new BinaryWriter().tag(2, WireType.LengthDelimited).bytes(resource.finish());
  message.tag(4, WireType.LengthDelimited).string(TYPE_URLS.endpoint);
  return Buffer.from(message.tag(5, WireType.LengthDelimited).string("n").finish());
}

function serve(call: grpc.ServerDuplexStream<Buffer, Buffer>): void {
  streams.add(call);
  const end = (): void => {
    streams.delete(call);
    call.end();
  };
  // The first request is answered, so that a proxy knows that it is connected.
  call.once("data", () => call.write(response(100)));
  call.on("data", () => undefined).on("end", end);
  call.on("error", end).on("cancelled", end);
}

function start(certPem: string, keyPem: string): void {
  const server = new grpc.Server({ "grpc.enable_channelz": 0 });
  const definition = {
    delta: {
      path: PATH,
      requestStream: true,
      responseStream: true,
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    },
  };
  server.addService(definition, { delta: serve });
  const pair = { cert_chain: Buffer.from(certPem), private_key: Buffer.from(keyPem) };
  server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createSsl(null, [pair]), (error, port) => {
    if (error !== null) throw error;
    process.send?.({ port } satisfies FloorStarted);
  });
}

process.on("message", (message: ToFloor) => {
  if (message.kind === "start") {
    start(message.certPem, message.keyPem);
    return;
  }
  const bytes = response(message.bytes);
  for (const call of streams) call.write(bytes);
});
process.once("disconnect", () => process.exit(0));
