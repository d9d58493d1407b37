import { expect } from "chai";
import { until } from "../../../hack/cluster/progress";
import { ClientPod, type LoadStats } from "./client-pod";
import { deployment, HTTP_PORT, service, TCP_PORT } from "./manifests";
import { report, type Mesh } from "./mesh";
import { TestNamespace } from "./namespace";
import { verdict } from "../../support/verdict";

/** Requests per second, where nothing else is asked for. */
const RATE = 100;

/** How {@link Shop.under} asks and judges. */
interface Asking {
  /** Default both ports of the server. */
  readonly urls?: readonly string[];
  /** Requests per second; default 100. */
  readonly rate?: number;
}

/** A client and its servers in a namespace of their own, with a steady load between them. */
export class Shop {
  private constructor(
    public readonly namespace: TestNamespace,
    public readonly client: ClientPod,
    private readonly replicas: number,
  ) {}

  /** Starts them and waits until the client is answered on both ports. */
  public static async open(mesh: Mesh, purpose: string, replicas: number): Promise<Shop> {
    const namespace = await TestNamespace.create(mesh, purpose, true);
    const server = deployment("server", { program: "server-app", replicas });
    await namespace.apply(server, service("server"), deployment("client", { program: "client-app" }));
    await namespace.rolledOut("server", "client");
    const client = new ClientPod((await namespace.readyPod("client")).status.podIP);
    const shop = new Shop(namespace, client, replicas);
    for (const url of [shop.http, shop.tcp]) await shop.answers(url);
    return shop;
  }

  /** The server's HTTP port. */
  public get http(): string {
    return `http://server.${this.namespace.name}:${HTTP_PORT}/`;
  }

  /** The server's TCP port. */
  public get tcp(): string {
    return `http://server.${this.namespace.name}:${TCP_PORT}/`;
  }

  /** Waits until the client is given 200 there. */
  public async answers(url: string): Promise<void> {
    await until(`an answer of ${url}`, 30_000, async () =>
      (await this.client.get(url)).status === 200 ? true : undefined,
    );
  }

  /** Waits until the client is no longer given 200 there, and gives the status, undefined for a broken connection. */
  public async refuses(url: string): Promise<number | undefined> {
    const answer = await until(`a refusal of ${url}`, 30_000, async () => {
      const answer = await this.client.get(url);
      return answer.status === 200 ? undefined : answer;
    });
    return answer.status;
  }

  /**
   * Keeps asking, by default 100 times a second, every fifth time on a connection of its own, while `disturb` runs and a little longer.
   * Gives the counts; throws when one request has failed.
   */
  public async under(title: string, disturb: () => Promise<void>, asking: Asking = {}): Promise<LoadStats> {
    const { urls = [this.http, this.tcp], rate = RATE } = asking;
    await this.client.start({ urls, rate, perConnection: 5, timeoutMs: 10_000 });
    let counts: LoadStats;
    try {
      await disturb();
      const { sent } = await this.client.stats();
      await until("two more seconds of traffic", 60_000, async () =>
        (await this.client.stats()).sent >= sent + 2 * rate ? true : undefined,
      );
    } finally {
      counts = await this.client.stop();
    }
    const { sent, failed, connections, slowestMs } = counts;
    report(
      `${title}: ${failed} of ${sent} requests failed (${connections} connections, slowest ${slowestMs} ms)`,
    );
    verdict(`continuity: ${title}`, failed === 0, {
      count: sent,
      failed,
      longestMs: slowestMs,
      bound: "0 failed",
    });
    expect(counts.failures, `failed requests of ${sent}`).to.deep.equal([]);
    expect(counts.ok).to.equal(sent);
    expect(Object.keys(counts.servers).length, "servers that answered").to.be.at.least(this.replicas);
    return counts;
  }
}
