import { expect } from "chai";
import { until } from "../../../hack/cluster/progress";
import { ClientPod, type Answer, type LoadStats } from "./client-pod";
import { deployment, HTTP_PORT, service, TCP_PORT } from "./manifests";
import { report, type Mesh } from "./mesh";
import { TestNamespace } from "./namespace";
import { verdict } from "../../support/verdict";

/** Answers that make a state, asked for at once: one may be that of the first worker of a sidecar alone. */
const TOGETHER = 10;

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

  /** Waits until the client is given 200 there, by every worker of the sidecars. */
  public async answers(url: string): Promise<void> {
    await until(`answers of ${url}`, 30_000, async () =>
      (await this.askedTogether(url)).every(({ status }) => status === 200) ? true : undefined,
    );
  }

  /** Waits until nobody gives the client 200 there any more, and gives the status, undefined for a broken connection. */
  public async refuses(url: string): Promise<number | undefined> {
    const answers = await until(`refusals of ${url}`, 30_000, async () => {
      const answers = await this.askedTogether(url);
      const [first] = answers;
      // On the way from one state to another there are refusals of several kinds.
      return answers.every(({ status }) => status !== 200 && status === first?.status) ? answers : undefined;
    });
    return answers[0]?.status;
  }

  private askedTogether(url: string): Promise<readonly Answer[]> {
    return Promise.all(Array.from({ length: TOGETHER }, () => this.client.get(url)));
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
