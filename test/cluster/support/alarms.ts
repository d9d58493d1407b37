import { until } from "../../../hack/cluster/progress";
import { ANNOTATION_PERMISSIVE } from "../../../src/model/mesh-words";
import type { RuleGroup } from "../../../hack/addons/rules";
import type { PrometheusApi } from "../../support/prometheus-api";
import type { Mesh } from "./mesh";
import { TestNamespace } from "./namespace";
import { deployPrometheus, removeRights } from "./prometheus-server";
import { SMI_PORT, smiApplication, smiDeployment, smiService, SmiPod } from "./smi-pods";

/** Ten times what is needed on an idle machine. */
const LONG_MS = 240_000;

const nothing = (): Promise<unknown> => Promise.resolve();

/** A namespace whose pods call each other, and a Prometheus outside of the mesh whose alerts are looked at. */
export class Alarms {
  /** Alerts that were seen firing. */
  public readonly seen = new Set<string>();

  private constructor(
    public readonly namespace: TestNamespace,
    public readonly client: SmiPod,
    private readonly prometheus: PrometheusApi,
  ) {}

  /** Deploys both; resolves when each of the rules has been evaluated. */
  public static async open(mesh: Mesh, rules: readonly RuleGroup[]): Promise<Alarms> {
    const outside = await TestNamespace.create(mesh, "alarms", false);
    const namespace = await TestNamespace.create(mesh, "alarmed", true);
    await namespace.kubectl(["annotate", "namespace", namespace.name, `${ANNOTATION_PERMISSIVE}=enabled`]);
    await namespace.apply(
      smiApplication(),
      smiDeployment("client"),
      smiDeployment("server"),
      smiService("server"),
      smiService("client"),
    );
    const [prometheus] = await Promise.all([
      deployPrometheus(outside, "2s", rules),
      namespace.rolledOut("client", "server"),
    ]);
    const alarms = new Alarms(namespace, await SmiPod.one(namespace, "client"), prometheus);
    await alarms.client.until("succeeds", alarms.page("/echo"));
    await until("an evaluation of each rule", LONG_MS, async () =>
      (await prometheus.rules()).every(({ health }) => health === "ok"),
    );
    return alarms;
  }

  public async close(): Promise<void> {
    await removeRights(this.namespace);
    await TestNamespace.removeAll();
  }

  /** A page of the server, as the client calls it. */
  public page(path: string): string {
    return `http://server.${this.namespace.name}:${SMI_PORT}${path}`;
  }

  /** Waits until alerts have been out, each at least once, while something goes on again and again. */
  public async fire(alerts: readonly string[], meanwhile: () => Promise<unknown> = nothing): Promise<void> {
    const open = new Set(alerts);
    await until(`${alerts.join(", ")} to fire`, LONG_MS, async () => {
      await meanwhile();
      for (const alert of open) if ((await this.stateOf(alert)) === "firing") open.delete(alert);
      return open.size === 0;
    }).catch((error: unknown) => {
      throw new Error(`not firing: ${[...open].join(", ")}`, { cause: error });
    });
    for (const alert of alerts) this.seen.add(alert);
  }

  /** Waits until alerts are over. */
  public async calm(...alerts: readonly string[]): Promise<void> {
    for (const alert of alerts)
      await until(`${alert} to be over`, LONG_MS, async () => (await this.stateOf(alert)) === "inactive");
  }

  private async stateOf(alert: string): Promise<string> {
    return (await this.prometheus.rules()).find(({ name }) => name === alert)?.state ?? "unknown";
  }
}
