import { status } from "@grpc/grpc-js";
import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { IMAGES } from "../../hack/images/names";
import { MODULE } from "../../src/install/names";
import { INIT_CONTAINER, SIDECAR_CONTAINER, PEPR_NAMESPACE } from "../../src/model/mesh-words";
import { DEBUG_PORT } from "../../src/runtime/http-endpoints";
import { TYPE_URLS } from "../../src/xds/resource";
import { AdsProbe } from "./support/ads-probe";
import { ClientPod, fetchText } from "./support/client-pod";
import { LiveMeshConfig } from "./support/live-mesh-config";
import { deployment, TCP_PORT } from "./support/manifests";
import { Mesh, type PodView } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { throughPortForward } from "./support/port-forward";
import { Shop } from "./support/shop";

interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly command?: readonly string[];
  readonly resources?: object;
  readonly securityContext?: { readonly privileged?: boolean };
}

const RESOURCES = { requests: { cpu: "11m", memory: "33Mi" }, limits: { memory: "222Mi" } };

describe("MeshConfig, changed live: new pods and the control plane", function () {
  this.timeout(300_000);
  let mesh: Mesh;
  let config: LiveMeshConfig;
  let shop: Shop;

  before(async () => {
    mesh = await Mesh.open();
    config = await LiveMeshConfig.of(mesh);
    shop = await Shop.open(mesh, "anew", 1);
  });

  afterEach(() => config.restore());

  after(async () => {
    await TestNamespace.removeAll();
  });

  /** Containers that a pod would be given if it were created now, by name. */
  async function wouldGet(): Promise<ReadonlyMap<string, Container>> {
    const containers = [{ name: "app", image: IMAGES.pause }];
    const pod = { apiVersion: "v1", kind: "Pod", metadata: { name: "new" }, spec: { containers } };
    const create = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
    const { spec } = JSON.parse(await shop.namespace.kubectl(create, JSON.stringify(pod))) as {
      spec: { containers: Container[]; initContainers?: Container[] };
    };
    const all = [...spec.containers, ...(spec.initContainers ?? [])];
    return new Map(all.map(container => [container.name, container]));
  }

  function expectChanged(made: ReadonlyMap<string, Container>): void {
    const [sidecar, init] = [made.get(SIDECAR_CONTAINER), made.get(INIT_CONTAINER)];
    expect(sidecar).to.deep.include({ resources: RESOURCES });
    expect(sidecar?.args).to.include.members(["--log-level", "debug"]);
    expect(init).to.nested.include({ image: "example.org/init:other", "securityContext.privileged": true });
    const rules = String(init?.command);
    for (const word of ["192.0.2.0/24", "198.51.100.0/24", "1234", "5678", "ether7", "DNAT"]) {
      expect(rules).to.contain(word);
    }
  }

  it("images, log level, resources, privilege, proxy mode and exclusion lists are those of pods created from then on", async () => {
    await shop.under("what new pods are given", async () => {
      await config.patch({
        sidecar: {
          enablePrivilegedInitContainer: true,
          logLevel: "debug",
          envoyImage: "example.org/envoy:other",
          initContainerImage: "example.org/init:other",
          resources: RESOURCES,
          localProxyMode: "PodIP",
        },
        traffic: {
          outboundIPRangeExclusionList: ["192.0.2.0/24"],
          outboundIPRangeInclusionList: ["198.51.100.0/24"],
          outboundPortExclusionList: [1234],
          inboundPortExclusionList: [5678],
          networkInterfaceExclusionList: ["ether7"],
        },
      });
      const made = await until("a pod made by it", 30_000, async () => {
        const made = await wouldGet();
        return made.get(SIDECAR_CONTAINER)?.image === "example.org/envoy:other" ? made : undefined;
      });
      expectChanged(made);
      await config.restore();
      await until("pods as before", 30_000, async () =>
        (await wouldGet()).get(SIDECAR_CONTAINER)?.image === IMAGES.envoy ? true : undefined,
      );
    });
  });

  it("an excluded port of a new pod passes its sidecar by, and so does not reach a meshed server", async () => {
    await config.patch({ sidecar: { logLevel: "info" }, traffic: { outboundPortExclusionList: [TCP_PORT] } });
    await until("the log level", 30_000, async () =>
      (await wouldGet()).get(SIDECAR_CONTAINER)?.args?.includes("info") === true ? true : undefined,
    );
    await shop.namespace.apply(deployment("late", { program: "client-app" }));
    // Each replica of the webhook hears of the change by itself, so the first pod may still be of the old MeshConfig.
    const late = await until("a pod with that log level", 200_000, async () => {
      const pod = await shop.namespace.readyPod("late");
      const sidecar = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find(
        ({ name }) => name === SIDECAR_CONTAINER,
      ) as Container | undefined;
      if (sidecar?.args?.includes("info") === true) return pod;
      await shop.namespace.kubectl(["delete", "pod", pod.metadata.name, "--wait=true"]);
      return undefined;
    });
    await config.restore();
    const client = new ClientPod(late.status.podIP);
    await until("an answer over the sidecar", 30_000, async () =>
      (await client.get(shop.http)).status === 200 ? true : undefined,
    );
    expect((await client.get(shop.tcp)).status, "past the sidecar").to.equal(undefined);
    const log = await shop.namespace.kubectl(["logs", late.metadata.name, "-c", SIDECAR_CONTAINER]);
    expect(log, "the sidecar's log").to.contain("[info]");
  });

  /** The debug server's page about the MeshConfig at each admission pod; undefined where nobody answers. */
  async function debugPages(): Promise<readonly (string | undefined)[]> {
    const pods = await mesh.controlPlane(MODULE);
    const read = ({ metadata: { namespace, name } }: PodView): Promise<string | undefined> =>
      throughPortForward(mesh, { namespace, pod: name, port: DEBUG_PORT }, port =>
        fetchText(`http://127.0.0.1:${port}/debug/config`).catch(() => undefined),
      );
    return Promise.all(pods.map(read));
  }

  it("enableDebugServer opens and closes the debug server", async () => {
    expect(await debugPages(), "before").to.deep.equal([undefined, undefined]);
    await config.patch({ observability: { enableDebugServer: true } });
    await until("answers of both", 30_000, async () =>
      (await debugPages()).every(page => page?.includes('"enableDebugServer": true')) ? true : undefined,
    );
    for (const { status } of await mesh.controlPlane(MODULE)) {
      const past = await fetchText(`http://${status.podIP ?? ""}:${DEBUG_PORT}/debug/config`).catch(() => "");
      expect(past, "past the loopback").to.equal("");
    }
    await config.restore();
    await until("no more answers", 30_000, async () =>
      (await debugPages()).every(page => page === undefined) ? true : undefined,
    );
  });

  it("osmLogLevel decides what the control plane writes", async () => {
    const probe = await AdsProbe.of(shop.namespace, await shop.namespace.readyPod("server"));
    /** Has a stream refused, which is told at level `warn`, and gives the time before it. */
    const provoke = async (level: string): Promise<string> => {
      await config.patch({ observability: { osmLogLevel: level, enableDebugServer: true } });
      await until(`level ${level}`, 30_000, async () =>
        (await debugPages()).every(page => page?.includes(`"osmLogLevel": "${level}"`)) ? true : undefined,
      );
      const from = new Date().toISOString();
      const client = probe.connect("no token at all");
      client.send({ typeUrl: TYPE_URLS.cluster });
      await until("its refusal", 30_000, () => client.ended);
      client.close();
      return from;
    };
    const logSince = (time: string): Promise<string> => {
      const logs = ["logs", "--selector", `app=${MODULE}`, "--tail=-1", `--since-time=${time}`];
      return mesh.kubectl.must(["-n", PEPR_NAMESPACE, ...logs]);
    };
    const words = "refused an ADS stream";
    const untold = await provoke("error");
    expect(await logSince(untold)).to.not.contain(words);
    const told = await provoke("warn");
    // What is said comes into the log a moment later, and what is not said would have come before it.
    await until("the line", 60_000, async () => ((await logSince(told)).includes(words) ? true : undefined));
    const times = (await logSince(untold)).split("\n").filter(line => line.includes(words)).length;
    expect(times, "lines of both refusals").to.equal(1);
  });

  it("maxDataPlaneConnections refuses further proxies, and none that is connected", async () => {
    const probe = await AdsProbe.of(shop.namespace, await shop.namespace.readyPod("server"));
    const first = probe.connect();
    first.send({ typeUrl: TYPE_URLS.cluster });
    await until("clusters", 30_000, () => first.held.get(TYPE_URLS.cluster)?.size);
    await shop.under("one proxy only", async () => {
      await config.patch({ sidecar: { maxDataPlaneConnections: 1 } });
      const end = await until(
        "a refusal",
        30_000,
        async () => {
          const next = probe.connect();
          next.send({ typeUrl: TYPE_URLS.cluster });
          const end = await until("an answer", 10_000, () => next.ended ?? next.held.get(TYPE_URLS.cluster));
          next.close();
          return "code" in end ? end : undefined;
        },
        1_000,
      );
      expect(status[end.code]).to.equal("RESOURCE_EXHAUSTED");
      expect(end.details).to.contain("as many proxies as it is allowed to");
      expect(first.ended, "the first one's stream").to.equal(undefined);
      first.close();
      await config.restore();
      const later = await until(
        "a proxy served again",
        30_000,
        async () => {
          const next = probe.connect();
          next.send({ typeUrl: TYPE_URLS.cluster });
          const end = await until("an answer", 10_000, () => next.ended ?? next.held.get(TYPE_URLS.cluster));
          next.close();
          return "code" in end ? undefined : end;
        },
        1_000,
      );
      expect(later.size).to.be.greaterThan(0);
    });
  });
});
