/** The aggregated discovery service with bodies left as bytes: framing is done once for all streams elsewhere. */
import type { ServerDuplexStream, ServiceDefinition } from "@grpc/grpc-js";

/** A bidirectional stream of serialised messages. */
export type ByteStream = ServerDuplexStream<Buffer, Uint8Array>;

const PREFIX = "/envoy.service.discovery.v3.AggregatedDiscoveryService/";

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function method(name: string): ServiceDefinition[string] {
  return {
    path: PREFIX + name,
    originalName: name,
    requestStream: true,
    responseStream: true,
    requestSerialize: asBuffer,
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: asBuffer,
    responseDeserialize: (bytes: Buffer) => bytes,
  };
}

/** Delta for Envoy, state of the world for gRPC's own client. */
export const AGGREGATED_DISCOVERY: ServiceDefinition = {
  DeltaAggregatedResources: method("DeltaAggregatedResources"),
  StreamAggregatedResources: method("StreamAggregatedResources"),
};
