import type { Span } from "./trace-operations";

interface ZipkinSpan {
  readonly traceId: string;
  readonly id: string;
  readonly parentId?: string;
  readonly kind: string;
  readonly localEndpoint?: { readonly serviceName?: string };
  readonly tags?: Readonly<Record<string, string>>;
}

const pathOf = (url = ""): string => (URL.canParse(url) ? new URL(url).pathname : url);

/** Spans of one body that is posted to Zipkin. */
export function zipkinSpans(body: string): Span[] {
  return (JSON.parse(body) as ZipkinSpan[]).map(span => ({
    trace: span.traceId,
    id: span.id,
    parent: span.parentId,
    service: span.localEndpoint?.serviceName ?? "",
    kind: span.kind === "CLIENT" ? "client" : "server",
    path: pathOf(span.tags?.["http.url"]),
  }));
}

interface Attributes {
  readonly attributes?: readonly {
    readonly key: string;
    readonly value: { readonly stringValue?: string };
  }[];
}

interface CollectedSpan extends Attributes {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly kind: number;
}

interface CollectedBatch {
  readonly resourceSpans?: readonly {
    readonly resource: Attributes;
    readonly scopeSpans: readonly { readonly spans: readonly CollectedSpan[] }[];
  }[];
}

const CLIENT_KIND = 3;

const attribute = ({ attributes = [] }: Attributes, name: string): string =>
  attributes.find(({ key }) => key === name)?.value.stringValue ?? "";

/** Spans of the lines that the OpenTelemetry Collector writes to a file; a line that is not yet whole is left out. */
export function collectorSpans(file: string): Span[] {
  const whole = file.slice(0, file.lastIndexOf("\n") + 1);
  return whole
    .split("\n")
    .filter(line => line !== "")
    .flatMap(line => (JSON.parse(line) as CollectedBatch).resourceSpans ?? [])
    .flatMap(({ resource, scopeSpans }) =>
      scopeSpans
        .flatMap(({ spans }) => spans)
        .map(span => ({
          trace: span.traceId,
          id: span.spanId,
          parent: span.parentSpanId === "" ? undefined : span.parentSpanId,
          service: attribute(resource, "service.name"),
          kind: span.kind === CLIENT_KIND ? ("client" as const) : ("server" as const),
          path: pathOf(attribute(span, "http.url")),
        })),
    );
}
