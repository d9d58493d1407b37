/** A gRPC server of one unary method, in plaintext and with bodies left as bytes. */
import * as grpc from "@grpc/grpc-js";

const bytes = (value: Buffer): Buffer => value;

/** Answers calls of the method; resolves when it listens. */
export function serveUnary(
  place: { readonly path: string; readonly address: string; readonly port: number },
  answer: (request: Buffer) => Buffer,
): Promise<void> {
  const server = new grpc.Server();
  const method: grpc.MethodDefinition<Buffer, Buffer> = {
    path: place.path,
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  };
  server.addService(
    { Call: method },
    {
      Call: (call: grpc.ServerUnaryCall<Buffer, Buffer>, reply: grpc.sendUnaryData<Buffer>) => {
        reply(null, answer(call.request));
      },
    },
  );
  return new Promise((resolve, reject) => {
    server.bindAsync(`${place.address}:${place.port}`, grpc.ServerCredentials.createInsecure(), error => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}
