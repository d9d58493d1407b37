/** What one proxy, one connection and all of them together may use. */
import type { ChannelOptions } from "@grpc/grpc-js";

/** Limits of the ADS server; each protects the event loop that all proxies share. */
export interface AdsLimits {
  /** Largest request, bytes. */
  readonly maxReceiveBytes: number;
  readonly streamsPerConnection: number;
  /** Streams per pod; a further one ends the oldest. */
  readonly streamsPerPod: number;
  /** Requests per second and stream, with a burst. */
  readonly requestRate: number;
  readonly requestBurst: number;
  /** A stream throttled for that long, without a rest in which half of the burst came back, is ended, milliseconds. */
  readonly throttledMs: number;
  /** A response unanswered for that long ends the stream, milliseconds. */
  readonly stalledMs: number;
  readonly connectionAgeMs: number;
  readonly connectionAgeGraceMs: number;
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /** New connections per second, with a burst; the excess waits, by turns of the addresses it comes from. */
  readonly connectRate: number;
  readonly connectBurst: number;
  readonly maxConnections: number;
  /** Open connections of one remote address. A proxy has one or two, but a node may put its own address on all its pods. */
  readonly maxPerAddress: number;
  /** Of those, such as have been let in and have not proven yet who they are: each costs what TLS and HTTP/2 keep. More of them wait. */
  readonly pendingPerAddress: number;
  /** Streams opened per second and pod, with a burst. */
  readonly openRate: number;
  readonly openBurst: number;
  /**
   * Responses per second and stream, with a burst, beyond which changes of its configuration wait and meet in one. What it asks
   * for is answered at any rate.
   */
  readonly updateRate: number;
  readonly updateBurst: number;
}

/** Limits for pods of the default size. */
export const DEFAULT_ADS_LIMITS: AdsLimits = {
  maxReceiveBytes: 1024 * 1024,
  streamsPerConnection: 4,
  streamsPerPod: 2,
  requestRate: 20,
  requestBurst: 100,
  throttledMs: 30_000,
  stalledMs: 60_000,
  connectionAgeMs: 30 * 60_000,
  connectionAgeGraceMs: 10_000,
  keepaliveMs: 30_000,
  keepaliveTimeoutMs: 10_000,
  connectRate: 250,
  connectBurst: 500,
  maxConnections: 10_000,
  maxPerAddress: 1_000,
  pendingPerAddress: 40,
  openRate: 1,
  openBurst: 10,
  updateRate: 9,
  updateBurst: 50,
};

/** Megabytes one HTTP/2 session may hold. */
const SESSION_MEMORY_MB = 32;

/** The limits that grpc-js itself enforces. It adds ±10 % of jitter to the connection age. */
export function channelOptions(limits: AdsLimits): ChannelOptions {
  return {
    "grpc.max_receive_message_length": limits.maxReceiveBytes,
    "grpc.max_send_message_length": -1,
    "grpc.max_concurrent_streams": limits.streamsPerConnection,
    "grpc.max_connection_age_ms": limits.connectionAgeMs,
    "grpc.max_connection_age_grace_ms": limits.connectionAgeGraceMs,
    "grpc.max_connection_idle_ms": 60_000,
    "grpc.keepalive_time_ms": limits.keepaliveMs,
    "grpc.keepalive_timeout_ms": limits.keepaliveTimeoutMs,
    "grpc-node.max_session_memory": SESSION_MEMORY_MB,
    "grpc.enable_channelz": 0,
  };
}
