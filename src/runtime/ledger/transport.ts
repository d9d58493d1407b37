/** The ledger between pods of the control plane: one server stream over mutual TLS, for holders of its own certificate only. */
import { X509Certificate } from "node:crypto";
import {
  Client,
  credentials,
  Server,
  status,
  type ClientReadableStream,
  type ServerWritableStream,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import { planControlPlane, type Lifetime } from "../../certificate/plan";
import { PEPR_NAMESPACE } from "../../model/mesh-words";
import { listen, type Listener } from "../ads/connections";
import { RotatingCredentials, type ServingMaterial } from "../ads/credentials";
import { channelOptions, DEFAULT_ADS_LIMITS } from "../ads/limits";
import type { IssuedPair } from "../issuers/issuer";
import type { Clock, Log, Subscription } from "../ports";
import type { Authority } from "../secrets/authority";
import { keepServingRenewed } from "../secrets/serving-renewal";
import type { ReplicaLedger } from "./replica";
import type { LedgerMessage } from "./rows";

/** Port of the ledger in every pod that serves ADS. */
export const LEDGER_PORT = 15129;
/** The one name in the certificates of both ends. Workloads and servers of other kinds never get it. */
const LEDGER_NAME = `osm-ledger.${PEPR_NAMESPACE}.svc`;

/** Life of a certificate of either end, milliseconds; servers replace theirs at half of it, clients on each connection. */
const VALIDITY_MS = 86_400_000;
/** A peer that does not answer for this long is gone, milliseconds. */
const KEEPALIVE_MS = 5_000;
const KEEPALIVE_TIMEOUT_MS = 3_000;
/** Other pods of the control plane; there are never many. */
const LIMITS = { ...DEFAULT_ADS_LIMITS, maxConnections: 256, maxPerAddress: 16 };

const bytes = (buffer: Buffer): Buffer => buffer;
const LEDGER: ServiceDefinition = {
  Watch: {
    path: "/osm.pepr.v1.Ledger/Watch",
    originalName: "Watch",
    requestStream: false,
    responseStream: true,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  },
};

/** What a ledger server works with. */
export interface LedgerServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly authority: Authority;
  readonly ledger: ReplicaLedger;
  readonly clock: Clock;
  readonly log: Log;
}

/** A running ledger server. */
export interface LedgerServer {
  readonly port: number;
  stop(): void;
}

function issueOwn(authority: Authority, now: number): IssuedPair {
  return authority.issue(planControlPlane(LEDGER_NAME, { now, validityMs: VALIDITY_MS }));
}

function materialOf({ certPem, keyPem }: IssuedPair, authority: Authority): ServingMaterial {
  return { certPem, keyPem, clientRoots: authority.anchorsPem };
}

/** Whether a verified certificate is the control plane's own: exactly this one name, and no identity of a workload. */
function isControlPlane(certificate: Uint8Array | undefined): boolean {
  return (
    certificate !== undefined && new X509Certificate(certificate).subjectAltName === `DNS:${LEDGER_NAME}`
  );
}

/** Serves this replica's ledger; resolves when the port is open. */
export async function startLedgerServer(options: LedgerServerOptions): Promise<LedgerServer> {
  const { authority, clock, log, ledger, host, port } = options;
  const first = issueOwn(authority, clock.now());
  const own = new RotatingCredentials(materialOf(first, authority), true);
  const grpc = new Server(channelOptions(LIMITS));
  grpc.addService(LEDGER, {
    Watch: (call: ServerWritableStream<Buffer, Buffer>) => {
      if (!isControlPlane(call.getAuthContext().sslPeerCertificate?.raw)) {
        log.warn("refused a stream of the ledger", { peer: call.getPeer() });
        call.emit("error", { code: status.PERMISSION_DENIED, details: "for the control plane only" });
        return;
      }
      serve(call, ledger);
    },
  });
  const injector = grpc.createConnectionInjector(own);
  const listener: Listener = await listen({
    host,
    port,
    clock,
    limits: LIMITS,
    onConnection: socket => {
      injector.injectConnection(socket);
    },
  });
  const present = ({ now }: Lifetime): IssuedPair => {
    const next = issueOwn(authority, now);
    own.rotate(materialOf(next, authority));
    return next;
  };
  const renewal = keepServingRenewed(first, { clock, validityMs: VALIDITY_MS, present });
  const changed = options.authority.onChange?.(() => present({ now: clock.now(), validityMs: VALIDITY_MS }));
  const stop = (): void => {
    changed?.close();
    renewal.stop();
    listener.stop();
    grpc.forceShutdown();
    listener.destroyAll();
  };
  return { port: listener.port, stop };
}

function serve(call: ServerWritableStream<Buffer, Buffer>, ledger: ReplicaLedger): void {
  const watch = ledger.watch(message => call.write(Buffer.from(message, "utf8")));
  call.on("drain", () => {
    ledger.resume();
  });
  call.on("cancelled", () => {
    watch.close();
  });
  call.on("error", () => {
    watch.close();
  });
}

/** What a subscription to another replica's ledger works with. */
export interface LedgerClientOptions {
  /** `host:port`, IPv6 in brackets. */
  readonly address: string;
  readonly authority: Authority;
  readonly clock: Clock;
  onMessage(message: LedgerMessage): void;
  /** Called once, unless closed before. */
  onEnd(reason: string): void;
}

/** Subscribes to the ledger of one replica. Messages of what is not the control plane are never read: TLS fails. */
export function watchLedger(options: LedgerClientOptions): Subscription {
  const { address, authority, clock } = options;
  const { certPem, keyPem } = issueOwn(authority, clock.now());
  const secure = credentials.createSsl(
    Buffer.from(authority.anchorsPem),
    Buffer.from(keyPem),
    Buffer.from(certPem),
  );
  const client = new Client(address, secure, {
    "grpc.ssl_target_name_override": LEDGER_NAME,
    "grpc.keepalive_time_ms": KEEPALIVE_MS,
    "grpc.keepalive_timeout_ms": KEEPALIVE_TIMEOUT_MS,
    "grpc.max_receive_message_length": -1,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_channelz": 0,
    "grpc.service_config_disable_resolution": 1,
    "grpc.enable_http_proxy": 0,
  });
  const call = client.makeServerStreamRequest("/osm.pepr.v1.Ledger/Watch", bytes, bytes, Buffer.alloc(0));
  const following = follow(call, options);
  return {
    close: () => {
      following.close();
      call.removeAllListeners("data");
      call.cancel();
      client.close();
    },
  };
}

/** Closing it keeps the end, which a cancellation is too, to itself. */
function follow(call: ClientReadableStream<Buffer>, options: LedgerClientOptions): Subscription {
  let over = false;
  const end = (reason: string): void => {
    if (over) return;
    over = true;
    options.onEnd(reason);
  };
  call.on("data", (buffer: Buffer) => {
    try {
      options.onMessage(JSON.parse(buffer.toString("utf8")) as LedgerMessage);
    } catch (error) {
      call.cancel();
      end(String(error));
    }
  });
  call.on("error", (error: Error) => {
    end(error.message);
  });
  call.on("end", () => {
    end("ended");
  });
  return { close: () => void (over = true) };
}
