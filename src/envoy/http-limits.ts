import type { Http2ProtocolOptions } from "./api/generated/envoy/config/core/v3/protocol";

/**
 * HTTP/2 on every hop: a bad message costs its stream, not the connection that other callers share; WebSocket over HTTP/2
 * (RFC 8441) is passed on; a peer opens at most 1,024 streams at a time on one connection, then uses another.
 */
export const HTTP2_LIMITS: Http2ProtocolOptions = {
  allowConnect: true,
  maxConcurrentStreams: 1024,
  overrideStreamErrorOnInvalidHttpMessage: true,
};
