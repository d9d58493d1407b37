import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import { parseServiceHost } from "../model/service-host";
import * as is from "./field";
import { formatText } from "./format";
import { faults, loadBalancing, outlierDetection } from "./traffic-shaping";

/** Requests per time that one sidecar lets through. */
export interface HttpLocalRateLimit {
  readonly requests: number;
  readonly unit: "second" | "minute" | "hour";
  readonly burst?: number;
  /** Default 429; one of the error codes that Envoy knows. */
  readonly responseStatusCode?: number;
  /** Headers of the refusal, at most 10; a value is a format of Envoy, in which a `%` itself is written `%%`. */
  readonly responseHeadersToAdd?: readonly { readonly name: string; readonly value: string }[];
}

/** One entry of a descriptor for a rate limit service; exactly one of the four. */
export interface HttpDescriptorEntry {
  readonly genericKey?: { readonly value: string; readonly key?: string };
  readonly remoteAddress?: Readonly<Record<string, never>>;
  readonly requestHeader?: { readonly name: string; readonly key: string };
  readonly headerValueMatch?: {
    readonly value: string;
    readonly key?: string;
    readonly headers: readonly HeaderMatch[];
    /** Default true. */
    readonly expectMatch?: boolean;
  };
}

/** How a header is compared; exactly one of the six. */
export interface HeaderMatch {
  readonly name: string;
  readonly exact?: string;
  readonly prefix?: string;
  readonly suffix?: string;
  readonly regex?: string;
  readonly contains?: string;
  readonly present?: boolean;
}

/** What is sent to a rate limit service for HTTP. */
export interface HttpGlobalDescriptors {
  readonly descriptors?: readonly { readonly entries: readonly HttpDescriptorEntry[] }[];
}

/** A rate limit service and what is asked of it. */
export interface GlobalRateLimitService {
  readonly rateLimitService: { readonly host: string; readonly port: number };
  readonly domain: string;
  /** Envoy's default is 20 ms. */
  readonly timeout?: string;
  /** Default true. */
  readonly failOpen?: boolean;
}

/**
 * UpstreamTrafficSetting (`policy.openservicemesh.io/v1alpha1`): how clients connect to one service and how many
 * requests it takes. Absent limits are unlimited.
 */
export interface UpstreamTrafficSettingSpec {
  /** `<service>.<namespace>.svc.cluster.local`, of the object's own namespace. */
  readonly host: string;
  readonly connectionSettings?: {
    readonly tcp?: { readonly maxConnections?: number; readonly connectTimeout?: string };
    readonly http?: {
      readonly maxRequests?: number;
      readonly maxPendingRequests?: number;
      readonly maxRetries?: number;
      readonly maxRequestsPerConnection?: number;
    };
  };
  readonly rateLimit?: {
    readonly local?: {
      readonly tcp?: {
        readonly connections: number;
        readonly unit: "second" | "minute" | "hour";
        readonly burst?: number;
      };
      readonly http?: HttpLocalRateLimit;
    };
    readonly global?: {
      readonly tcp?: GlobalRateLimitService & {
        readonly descriptors: readonly {
          readonly entries: readonly { readonly key: string; readonly value: string }[];
        }[];
      };
      readonly http?: GlobalRateLimitService &
        HttpGlobalDescriptors & {
          readonly enableXRateLimitHeaders?: boolean;
          readonly responseStatusCode?: number;
        };
    };
  };
  readonly httpRoutes?: readonly {
    /** RE2, equal to the path of an allowed route. */
    readonly path: string;
    readonly rateLimit?: { readonly local?: HttpLocalRateLimit; readonly global?: HttpGlobalDescriptors };
    readonly faults?: Faults;
    readonly timeout?: string;
  }[];
  readonly faults?: Faults;
  readonly outlierDetection?: OutlierDetection;
  readonly loadBalancing?: LoadBalancingPolicy;
  /** Of a whole request, retries included; a Go duration, `0s` for none. Default: none. */
  readonly timeout?: string;
}

/** What is done to a share of the requests, at the client. */
export interface Faults {
  /** `percentage` of 0 to 100, with fractions; default 100. */
  readonly delay?: { readonly duration: string; readonly percentage?: number };
  readonly abort?: { readonly httpStatus: number; readonly percentage?: number };
}

/** When an endpoint is left out for a while. Defaults: 5 errors in a row, every 10s, for 30s, at most 10 percent. */
export interface OutlierDetection {
  readonly consecutiveErrors?: number;
  readonly interval?: string;
  readonly baseEjectionTime?: string;
  /** 0 to 100. */
  readonly maxEjectionPercent?: number;
}

/** How an endpoint is chosen. */
export interface LoadBalancingPolicy {
  readonly policy: "RoundRobin" | "LeastRequest" | "Random" | "HeaderHash" | "SourceAddress";
  /** Only with `HeaderHash`, there required: its value decides. */
  readonly header?: string;
}

const unit = is.word("second", "minute", "hour");
const rate = is.integer(1, 4_294_967_295);
const errorCode = is.integer(400, 599);
/** Those of Envoy's `envoy.type.v3.StatusCode` that are errors; it refuses a table with any other. */
const ERROR_CODES: ReadonlySet<unknown> = new Set([
  400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423,
  424, 426, 428, 429, 431, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511,
]);

const errorStatus: is.Check = (value, place) => {
  errorCode(value, place);
  const inRange = typeof value === "number" && Number.isInteger(value) && value >= 400 && value <= 599;
  if (inRange && !ERROR_CODES.has(value))
    place.error(`must be a code that Envoy knows, like 429 or 503; it is ${value}`);
};

/** Most headers that Envoy adds to an answer of a local limit. */
const MAX_HEADERS = 10;

const addedName: is.Check = (value, place) => {
  is.headerName(value, place);
  const name = is.textOf(value) ?? "";
  if (name.startsWith(":") || name.toLowerCase() === "host")
    place.error(`must not be host or begin with a colon; it is ${is.quote(name)}`);
};

/** A control character in an answer is a mistake; a tab is white space. */
const CONTROL = /[^\t\P{Cc}]/u;

/**
 * A format, as OSM has handed it to Envoy: commands have their meaning. A `%` that begins none is refused instead of
 * taken as it stands: the next version of Envoy may know the command.
 */
const addedValue = is.all(formatText(4_096, 0, false), (value, place) => {
  if (CONTROL.test(is.textOf(value) ?? "")) place.error("must have no control characters");
});

const localHttp = is.object(
  {
    requests: rate,
    unit,
    burst: is.count,
    responseStatusCode: errorStatus,
    responseHeadersToAdd: is.list(
      is.object({ name: addedName, value: addedValue }, ["name", "value"]),
      0,
      MAX_HEADERS,
    ),
  },
  ["requests", "unit"],
);

const headerMatch = is.all(
  is.object(
    {
      name: is.headerName,
      exact: is.text(1_024, 0),
      prefix: is.text(),
      suffix: is.text(),
      regex: is.regex,
      contains: is.text(),
      present: is.flag,
    },
    ["name"],
  ),
  is.exactlyOne("exact", "prefix", "suffix", "regex", "contains", "present"),
);

const entry = is.all(
  is.object({
    genericKey: is.object({ value: is.text(), key: is.text(256) }, ["value"]),
    remoteAddress: is.object({}),
    requestHeader: is.object({ name: is.headerName, key: is.text(256) }, ["name", "key"]),
    headerValueMatch: is.object(
      { value: is.text(), key: is.text(256), headers: is.list(headerMatch, 1), expectMatch: is.flag },
      ["value", "headers"],
    ),
  }),
  is.exactlyOne("genericKey", "remoteAddress", "requestHeader", "headerValueMatch"),
);

const descriptors = is.list(is.object({ entries: is.list(entry, 1) }, ["entries"]));

const service: Readonly<Record<string, is.Check>> = {
  rateLimitService: is.object({ host: is.host, port: is.port }, ["host", "port"]),
  domain: is.text(256),
  timeout: is.duration(1),
  failOpen: is.flag,
};

/** Envoy reads the value as a format, the key as it stands. */
const tcpEntry = is.object({ key: is.text(256), value: formatText(1_024, 1, false) }, ["key", "value"]);

const rateLimit = is.object({
  local: is.object({
    tcp: is.object({ connections: rate, unit, burst: is.count }, ["connections", "unit"]),
    http: localHttp,
  }),
  global: is.object({
    tcp: is.object(
      {
        ...service,
        descriptors: is.list(is.object({ entries: is.list(tcpEntry, 1) }, ["entries"]), 1),
      },
      ["rateLimitService", "domain", "descriptors"],
    ),
    http: is.object(
      { ...service, descriptors, enableXRateLimitHeaders: is.flag, responseStatusCode: errorStatus },
      ["rateLimitService", "domain"],
    ),
  }),
});

/** Of two with one path, nobody could say which one counts. */
const uniquePaths: is.Check = (value, place) => {
  const seen = new Set<unknown>();
  is.itemsOf(value).forEach((item, index) => {
    const { path } = is.fieldsOf(item);
    if (seen.has(path))
      place
        .at(index)
        .at("path")
        .error(`repeats ${is.quote(path)}`);
    if (path !== undefined) seen.add(path);
  });
};

const spec = is.object(
  {
    host: is.host,
    connectionSettings: is.object({
      tcp: is.object({ maxConnections: is.count, connectTimeout: is.duration(1) }),
      http: is.object({
        maxRequests: is.count,
        maxPendingRequests: is.count,
        maxRetries: is.count,
        maxRequestsPerConnection: is.count,
      }),
    }),
    rateLimit,
    httpRoutes: is.all(
      is.list(
        is.object(
          {
            path: is.regex,
            rateLimit: is.object({ local: localHttp, global: is.object({ descriptors }, ["descriptors"]) }),
            faults,
            timeout: is.duration(),
          },
          ["path"],
        ),
        0,
        64,
      ),
      uniquePaths,
    ),
    faults,
    outlierDetection,
    loadBalancing,
    timeout: is.duration(),
  },
  ["host"],
);

/**
 * A namespace's settings speak of its own services, or of hosts outside the mesh, which an Egress refers to. What looks like
 * a service of another namespace is neither.
 */
const ownNamespace: is.Check = (value, place) => {
  const host = is.textOf(is.fieldsOf(is.fieldsOf(value)["spec"])["host"]);
  const own = is.namespaceOf(value);
  if (host === undefined || own === undefined) return;
  const service = parseServiceHost(host, own);
  const labels = host.replace(/[.]$/, "").split(".");
  // Two labels are a domain as well as a service of a namespace; more of them with `svc` are nothing but a service.
  if (service === undefined || service.namespace === own || labels.length < 3) return;
  place
    .at("spec")
    .at("host")
    .error(
      `must be <service>.${own}.svc.cluster.local, a service of this namespace; it is ${is.quote(host)}`,
    );
};

const check = is.all(is.specOf(spec), ownNamespace);

/** What is wrong with the fields of an UpstreamTrafficSetting. */
export function validateUpstreamTrafficSetting(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
