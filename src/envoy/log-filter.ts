import {
  type AccessLogFilter,
  ComparisonFilter_Op,
  GrpcStatusFilter_Status,
} from "./api/generated/envoy/config/accesslog/v3/accesslog";

/** Requests that say that they are gRPC, or all others. */
export function contentType(grpc: boolean): AccessLogFilter {
  return {
    filterSpecifier: {
      $case: "headerFilter",
      value: {
        header: {
          name: "content-type",
          headerMatchSpecifier: {
            $case: "stringMatch",
            value: { matchPattern: { $case: "prefix", value: "application/grpc" } },
          },
          ...(grpc ? {} : { invertMatch: true, treatMissingHeaderAsEmpty: true }),
        },
      },
    },
  };
}

/** What all of these take. At least two. */
export function both(...filters: AccessLogFilter[]): AccessLogFilter {
  return { filterSpecifier: { $case: "andFilter", value: { filters } } };
}

const REFUSED_OR_FAILED: AccessLogFilter = {
  filterSpecifier: {
    $case: "statusCodeFilter",
    value: {
      comparison: {
        op: ComparisonFilter_Op.GE,
        // The key is required; nothing sets it.
        value: { defaultValue: 400, runtimeKey: "osm.access_log.lowest_status" },
      },
    },
  },
};

/** Flags say that something other than the server's answer ended a request or a connection. No list: any flag. */
const FLAGGED: AccessLogFilter = { filterSpecifier: { $case: "responseFlagFilter", value: {} } };

const NOT_OK: AccessLogFilter = {
  filterSpecifier: {
    $case: "grpcStatusFilter",
    value: { statuses: [GrpcStatusFilter_Status.OK], exclude: true },
  },
};

/**
 * Requests that were refused or failed, and connections that did: answered with 400 or more, or with a gRPC status other than
 * OK (its answers are 200 all the same), or flagged. Envoy takes the status of what is no gRPC for unknown, so only requests
 * that are gRPC are asked for it.
 */
export const FAILED: AccessLogFilter = {
  filterSpecifier: {
    $case: "orFilter",
    value: { filters: [REFUSED_OR_FAILED, FLAGGED, both(contentType(true), NOT_OK)] },
  },
};
