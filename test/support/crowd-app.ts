/** A process full of simulated proxies that lose their streams and come back, as Envoys do, and can be asked what they hold. */
import { ADS_SAN } from "../../src/model/mesh-words";
import { TYPE_URLS } from "../../src/xds/resource";
import { AdsClient } from "./ads-client";

/** To the crowd. */
export type ToCrowd =
  | {
      readonly kind: "join";
      readonly address: string;
      readonly root: string;
      readonly members: readonly { readonly name: string; readonly token: string }[];
    }
  | { readonly kind: "leave"; readonly names: readonly string[] }
  | { readonly kind: "held"; readonly id: number };

/** Versions by type and name, of one proxy. */
export type HeldVersions = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** From the crowd. */
export interface FromCrowd {
  readonly id: number;
  /** By the name of the proxy. */
  readonly held: Readonly<Record<string, HeldVersions>>;
}

const SUBSCRIPTIONS: readonly (readonly [string, readonly string[]])[] = [
  [TYPE_URLS.cluster, []],
  [TYPE_URLS.endpoint, ["*"]],
  [TYPE_URLS.secret, ["service-cert", "root-cert-for-mtls"]],
  [TYPE_URLS.listener, []],
  [TYPE_URLS.route, ["*"]],
];
/** How often a proxy looks whether its stream has ended, milliseconds. */
const LOOK_MS = 250;
/** A connection that is refused is tried again as the bootstrap of sidecars says it. */
const BACK_OFF = { "grpc.initial_reconnect_backoff_ms": 250, "grpc.max_reconnect_backoff_ms": 3_000 };

class Member {
  /** Has the connection of all the streams. One for each stream would leave those behind that were being made when it was closed. */
  private readonly first: AdsClient;
  private client: AdsClient;
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly options: ConstructorParameters<typeof AdsClient>[0]) {
    this.first = new AdsClient({ ...options, channelOptions: BACK_OFF });
    this.client = this.first;
    this.subscribe(new Map());
    this.timer = setInterval(() => {
      if (this.client.ended !== undefined) this.open();
      // What was received is kept by name; the responses themselves would only grow.
      this.client.responses.splice(0);
    }, LOOK_MS);
  }

  get held(): HeldVersions {
    const types = SUBSCRIPTIONS.map(([type]) => [type, this.client.versions(type)] as const);
    return Object.fromEntries(types);
  }

  close(): void {
    clearInterval(this.timer);
    this.client.cancel();
    this.first.close();
  }

  private open(): void {
    const before = this.client.held;
    this.client = new AdsClient({ ...this.options, beside: this.first });
    this.subscribe(before);
  }

  private subscribe(before: AdsClient["held"]): void {
    for (const [type, names] of SUBSCRIPTIONS) this.client.resume(type, names, before);
  }
}

const members = new Map<string, Member>();

process.on("message", (message: ToCrowd) => {
  if (message.kind === "join") {
    const { address, root } = message;
    for (const { name, token } of message.members)
      members.set(name, new Member({ address, root, token, serverName: ADS_SAN, nodeId: name }));
  } else if (message.kind === "leave") {
    for (const name of message.names) {
      members.get(name)?.close();
      members.delete(name);
    }
  } else {
    const held = Object.fromEntries([...members].map(([name, member]) => [name, member.held]));
    process.send?.({ id: message.id, held } satisfies FromCrowd);
  }
});
process.on("disconnect", () => process.exit(0));
