/** An application that hands traces on, a client, and a small collector. */
import http from "node:http";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { answerParent } from "./pod-process";
import { zipkinSpans } from "./spans";
import type { Span, TraceOperations, TraceTarget } from "./trace-operations";
import { serveUnary } from "./unary-server";

/** What applications are asked to hand on; each tracer has its own. */
const HANDED_ON = /^(x-request-id|x-b3-.*|traceparent|tracestate)$/;

const spans: Span[] = [];

function request(
  { host, port }: TraceTarget,
  path: string,
  headers: http.OutgoingHttpHeaders,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const options = { host, port, path, headers, agent: false as const };
    const sent = http.request(options, response => {
      response.resume().on("end", () => {
        resolve(response.statusCode ?? 0);
      });
    });
    sent.on("error", reject).end();
  });
}

function listening(server: http.Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject).listen(port, "0.0.0.0", () => {
      resolve();
    });
  });
}

function handedOn(headers: http.IncomingHttpHeaders): http.OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => HANDED_ON.test(name)));
}

/** The length-delimited fields of a message and its numbers, in order. */
function fields(message: Uint8Array): { bytes: [number, Uint8Array][]; numbers: Map<number, number> } {
  const reader = new BinaryReader(message);
  const bytes: [number, Uint8Array][] = [];
  const numbers = new Map<number, number>();
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type === WireType.LengthDelimited) bytes.push([field, reader.bytes()]);
    else if (type === WireType.Varint) numbers.set(field, Number(reader.uint64()));
    else reader.skip(type);
  }
  return { bytes, numbers };
}

const inside = (message: Uint8Array, wanted: number): Uint8Array[] =>
  fields(message).bytes.flatMap(([field, value]) => (field === wanted ? [value] : []));
const hex = (value: Uint8Array | undefined): string => Buffer.from(value ?? []).toString("hex");
const text = (value: Uint8Array | undefined): string => Buffer.from(value ?? []).toString("utf8");

/** Text-valued attributes of a resource (field 1) or a span (field 9). */
function attributes(message: Uint8Array, field: number): ReadonlyMap<string, string> {
  return new Map(
    inside(message, field).map(pair => {
      const [value] = inside(pair, 2);
      return [text(inside(pair, 1)[0]), value === undefined ? "" : text(inside(value, 1)[0])] as const;
    }),
  );
}

const CLIENT_KIND = 3;

/** Spans of an ExportTraceServiceRequest. */
function otlpSpans(message: Uint8Array): Span[] {
  return inside(message, 1).flatMap(group => {
    const [resource = new Uint8Array()] = inside(group, 1);
    const service = attributes(resource, 1).get("service.name") ?? "";
    return inside(group, 2).flatMap(scope =>
      inside(scope, 2).map((span): Span => {
        const parent = hex(inside(span, 4)[0]);
        const url = attributes(span, 9).get("http.url") ?? "";
        return {
          trace: hex(inside(span, 1)[0]),
          id: hex(inside(span, 2)[0]),
          parent: parent === "" ? undefined : parent,
          service,
          kind: fields(span).numbers.get(6) === CLIENT_KIND ? "client" : "server",
          path: new URL(url).pathname,
        };
      }),
    );
  });
}

const operations: TraceOperations = {
  serve: (port, next) =>
    listening(
      http.createServer({ keepAliveTimeout: 0 }, (incoming, response) => {
        incoming.resume();
        const onward =
          next === undefined
            ? Promise.resolve(200)
            : request(next, incoming.url ?? "/", handedOn(incoming.headers));
        void onward.catch(() => 502).then(status => response.writeHead(status).end());
      }),
      port,
    ),
  call: async (target, path, count, headers = {}) => {
    const statuses: number[] = [];
    for (let n = 0; n < count; n += 1) statuses.push(await request(target, path, headers).catch(() => 0));
    return statuses;
  },
  collect: async (zipkinPort, otlpPort) => {
    // Node would close idle connections after five seconds, which is Envoy's interval: a flush into one is lost.
    const zipkin = http.createServer({ keepAliveTimeout: 0 }, (incoming, response) => {
      let body = "";
      incoming.setEncoding("utf8").on("data", (part: string) => (body += part));
      incoming.on("end", () => {
        if (incoming.url === "/api/v2/spans") spans.push(...zipkinSpans(body));
        response.writeHead(202).end();
      });
    });
    await listening(zipkin, zipkinPort);
    await serveUnary(
      {
        path: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        address: "0.0.0.0",
        port: otlpPort,
      },
      request => {
        spans.push(...otlpSpans(request));
        return Buffer.alloc(0);
      },
    );
  },
  spans: () => Promise.resolve(spans),
};

answerParent(operations);
