import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { BOARDS } from "../../hack/addons/dashboards";
import type { Board } from "../../hack/addons/panels";
import { RULE_GROUPS } from "../../hack/addons/rules";
import { MODULE, WATCHER } from "../../src/install/names";
import { ANNOTATION_PERMISSIVE } from "../../src/model/mesh-words";
import { guideRecipe, takes } from "../support/fluent-bit";
import type { PrometheusApi } from "../support/prometheus-api";
import { Mesh, report } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { deployPrometheus, removeRights } from "./support/prometheus-server";
import { SMI_PORT, smiApplication, smiDeployment, smiService, SmiPod } from "./support/smi-pods";

/** Ten times what is needed on an idle machine. */
const LONG_MS = 120_000;

/** A query, and where it comes from. */
interface Asked {
  readonly from: string;
  readonly expr: string;
}

/** Every query of a dashboard, its variables as a user would choose them. */
function boardQueries({ title, variables, panels }: Board, namespace: string): readonly Asked[] {
  const chosen = (expr: string): string =>
    variables
      .reduce(
        (text, { name }) => text.replaceAll(`$${name}`, name === "source_namespace" ? namespace : ".*"),
        expr,
      )
      .replaceAll("$__rate_interval", "10m");
  return panels.flatMap(panel =>
    panel.queries.map(({ expr }) => ({ from: `${title}, ${panel.title}`, expr: chosen(expr) })),
  );
}

/** Every recording rule: what it asks, and what has been recorded by it. */
const RECORDED: readonly Asked[] = RULE_GROUPS.flatMap(({ rules }) =>
  rules.flatMap(rule =>
    "record" in rule
      ? [
          { from: `rule ${rule.record}`, expr: rule.expr },
          { from: `record ${rule.record}`, expr: rule.record },
        ]
      : [],
  ),
);

/** Those that have no number to show; throws where one does not parse. */
async function unanswered(prometheus: PrometheusApi, asked: readonly Asked[]): Promise<readonly Asked[]> {
  const left: Asked[] = [];
  for (const each of asked) {
    const rows = await prometheus.query(each.expr);
    if (!rows.some(({ value }) => !Number.isNaN(value))) left.push(each);
  }
  return left;
}

/** Full counts only: it takes some 50 s. */

if (process.env["OSM_FULL"] === "1")
  describe("A real Prometheus beside the mesh", function () {
    this.timeout(600_000);
    let namespace: TestNamespace;
    let outside: TestNamespace;
    let prometheus: PrometheusApi;
    let client: SmiPod;
    let server: string;
    let ended = false;
    let traffic: Promise<void>;

    /** Answers that are good, wrong and failing, until the test is over. */
    const call = async (): Promise<void> => {
      while (!ended) {
        for (const page of ["/echo", "/echo", "/echo", "/status/404", "/status/503"])
          await client.call(`${server}${page}`).catch(() => undefined);
        await new Promise(resolve => setTimeout(resolve, 200));
      }
    };

    before(async () => {
      const mesh = await Mesh.open();
      outside = await TestNamespace.create(mesh, "metrics", false);
      namespace = await TestNamespace.create(mesh, "measured", true);
      await namespace.kubectl(["annotate", "namespace", namespace.name, `${ANNOTATION_PERMISSIVE}=enabled`]);
      await namespace.apply(
        smiApplication(),
        smiDeployment("client"),
        smiDeployment("server"),
        smiService("server"),
        smiService("client"),
      );
      [prometheus] = await Promise.all([
        deployPrometheus(outside, "5s"),
        namespace.rolledOut("client", "server"),
      ]);
      client = await SmiPod.one(namespace, "client");
      server = `http://server.${namespace.name}:${SMI_PORT}`;
      await client.until("succeeds", `${server}/echo`);
      traffic = call();
    });
    after(async () => {
      ended = true;
      await traffic;
      await removeRights(namespace);
      await TestNamespace.removeAll();
    });

    it("scrapes each job of the add-on, every target of them", async () => {
      const jobs = [
        "kubernetes-apiservers",
        "kubernetes-cadvisor",
        "kubernetes-nodes",
        "kubernetes-pods",
        "osm-control-plane",
      ];
      await until("all targets", LONG_MS, async () => {
        const targets = await prometheus.targets();
        const own = targets.filter(({ labels }) => labels["source_namespace"] === namespace.name);
        const good = targets.filter(({ health }) => health === "up").map(({ scrapePool }) => scrapePool);
        return own.length === 2 && jobs.every(job => good.includes(job)) ? true : undefined;
      });
      const targets = await prometheus.targets();
      const planes = targets.filter(({ scrapePool }) => scrapePool === "osm-control-plane");
      expect(new Set(planes.map(({ labels }) => labels["app"]))).to.deep.equal(new Set([MODULE, WATCHER]));
      expect(new Set(planes.map(({ scrapeUrl }) => scrapeUrl)).size, "each pod once").to.equal(planes.length);
    });

    it("has requests with both ends, as Open Service Mesh named them", async () => {
      const ends = `source_namespace="${namespace.name}",source_kind="Deployment",source_name="client",destination_namespace="${namespace.name}",destination_kind="Deployment",destination_name="server"`;
      for (const code of [200, 404, 503]) {
        await until(`requests that end with ${code}`, LONG_MS, async () => {
          const rows = await prometheus.query(`osm_request_total{${ends},response_code="${code}"}`);
          return rows.some(({ value }) => value > 0) ? true : undefined;
        });
      }
      const [row] = await prometheus.query(`sum(osm_request_duration_ms_count{${ends}}) > 0`);
      expect(row?.value).to.be.greaterThan(0);
      const named = await prometheus.query(
        `envoy_server_live{source_namespace="${namespace.name}",source_workload_kind="Deployment",source_workload_name="client"}`,
      );
      expect(named.map(({ value }) => value)).to.deep.equal([1]);
    });

    it("has what the control plane counts, and proxies that took up what is new", async () => {
      const connected = "sum(osm_proxy_connect_count) >= 2";
      const converged = `sum(osm_convergence_seconds_count{kind=~"Pod|EndpointSlice|Service|Namespace"}) > 0`;
      const ends = "count(count by (certificate) (osm_cert_expiry_timestamp_seconds - time() > 600)) == 6";
      for (const expr of [
        connected,
        converged,
        ends,
        "osm_ledger_complete == 1 and on() osm_proxy_missing_count == 0",
      ])
        await until(expr, LONG_MS, async () =>
          (await prometheus.query(expr)).length > 0 ? true : undefined,
        );
    });

    it("finds every rule well-formed by promtool, and evaluates it", async () => {
      const names = RULE_GROUPS.flatMap(({ rules }) =>
        rules.map(rule => ("alert" in rule ? rule.alert : rule.record)),
      );
      await until("an evaluation of each rule", LONG_MS, async () => {
        const rules = await prometheus.rules();
        return rules.every(({ health }) => health !== "unknown") ? true : undefined;
      });
      const promtool = ["exec", "deployment/osm-prometheus", "-c", "main", "--", "promtool"];
      await outside.kubectl([...promtool, "check", "rules", "/etc/prometheus/rules.yml"]);
      const rules = await prometheus.rules();
      expect(rules.map(({ name }) => name)).to.have.members(names);
      expect(rules.filter(({ health }) => health !== "ok")).to.deep.equal([]);
    });

    it("finds that requests fail, by the alert's own expression", async () => {
      const failing = `osm:requests_failed:ratio5m{destination_namespace="${namespace.name}"} > 0.05`;
      await until("the expression to hold", LONG_MS, async () =>
        (await prometheus.query(failing)).some(({ metric }) => metric["destination_name"] === "server")
          ? true
          : undefined,
      );
    });

    it("leaves logs where the guide's recipe for Fluent Bit looks for them, in the form that it reads", async () => {
      const patterns = guideRecipe()[0]?.entries["Path"] ?? "";
      const folder = "/var/log/containers";
      const taken = (pod: string): readonly string[] =>
        readdirSync(folder).filter(
          name => name.startsWith(`${pod}_`) && takes(patterns, path.join(folder, name)),
        );
      /** What the kubelet wrote of whole lines of standard output, without time and stream. */
      const lines = (file: string): readonly string[] =>
        readFileSync(path.join(folder, file), "utf8")
          .split("\n")
          .flatMap(line => /^\S+ stdout F (.*)$/.exec(line)?.[1] ?? []);
      const isJson = (line: string, field: string): boolean =>
        line.startsWith("{") && field in (JSON.parse(line) as object);
      for (const app of ["client", "server"]) {
        const pod = (await namespace.readyPod(app)).metadata.name;
        const [file = "", ...more] = taken(pod);
        expect([/_envoy-/.test(file), more], `${pod}: the sidecar's alone`).to.deep.equal([true, []]);
        await until(`access logs of ${pod}`, LONG_MS, () => lines(file).length > 0);
        expect(lines(file).filter(line => !isJson(line, "response_code"))).to.deep.equal([]);
      }
      for (const { metadata } of await namespace.mesh.controlPlane()) {
        const [file] = taken(metadata.name).filter(name => /_(server|watcher)-/.test(name));
        expect(
          lines(file ?? "").some(line => isJson(line, "level")),
          metadata.name,
        ).to.equal(true);
      }
    });

    it("answers every query of every dashboard and every recording rule", async () => {
      // What happened before the first scrape is in no rate: a replica must be seen to review and to issue. Of three new
      // identities at least two are one replica's.
      for (const name of ["late-1", "late-2", "late-3"]) {
        const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name } };
        await namespace.apply(account, smiDeployment(name, { account: name }));
        await namespace.rolledOut(name);
      }
      const asked = [...BOARDS.flatMap(board => boardQueries(board, namespace.name)), ...RECORDED];
      let open: readonly Asked[] = asked;
      let target = "server";
      await until("data for every query", LONG_MS, async () => {
        // A rate needs news that came after the first scrape, and proxies that took it up.
        target = target === "server" ? "client" : "server";
        await namespace.apply(smiService("news", { app: target }));
        open = await unanswered(prometheus, open);
        return open.length === 0 ? true : undefined;
      }).catch(() =>
        expect(
          open.map(({ from }) => from),
          "queries without data",
        ).to.deep.equal([]),
      );
      report(
        `${asked.length} queries of ${BOARDS.length} dashboards and of ${RECORDED.length / 2} recording rules`,
      );
    });
  });
