import { expect } from "chai";
import { ENV_ORIGINALS, RESERVED_VOLUMES } from "../../../src/injector/names";
import { type Container, containersOf, type PodJson } from "../../../src/injector/pod";
import { ANNOTATION_METRICS, LABEL_PROXY_UUID } from "../../../src/model/mesh-words";
import {
  bootstrapOf,
  containerNamed,
  expectIdempotent,
  injected,
  meshConfigWith,
  NAMESPACE,
  podOf,
  requestFor,
  SETTINGS,
} from "../../support/injection";

const names = (pod: PodJson, list: "initContainers" | "containers"): string[] =>
  containersOf(pod, list).map(({ name }) => name);
const ownInit = { initContainers: [{ name: "migrate", image: "m" }] };
const classic = { settings: { ...SETTINGS, nativeSidecar: false } };
const probed = podOf({
  ports: [{ name: "web", containerPort: 8080 }],
  livenessProbe: { httpGet: { path: "/l", port: "web" }, timeoutSeconds: 3 },
  readinessProbe: { tcpSocket: { port: 8080 } },
  startupProbe: { grpc: { port: 9000 } },
  lifecycle: { preStop: { httpGet: { path: "/bye?cost=$(HOME)$$", port: 8080 } } },
});

describe("injector: the injected pod", () => {
  it("has rules and a restartable sidecar before the owner's init containers, where the cluster offers it", () => {
    const pod = expectIdempotent(requestFor(podOf({}, ownInit)));
    expect(names(pod, "initContainers")).to.deep.equal(["osm-init", "envoy", "migrate"]);
    expect(names(pod, "containers")).to.deep.equal(["app"]);
    const sidecar = containerNamed(pod, "envoy");
    expect(sidecar.restartPolicy).to.equal("Always");
    expect(sidecar.startupProbe?.httpGet).to.deep.equal({ path: "/ready", port: 15904, scheme: "HTTP" });
    expect(sidecar.lifecycle).to.equal(undefined);
  });

  it("has OSM's order in the classic layout, and a sidecar that outlives the application", () => {
    const pod = expectIdempotent(requestFor(podOf({}, ownInit), classic));
    expect(names(pod, "initContainers")).to.deep.equal(["migrate", "osm-init"]);
    expect(names(pod, "containers")).to.deep.equal(["app", "envoy"]);
    const sidecar = containerNamed(pod, "envoy");
    expect(sidecar).to.not.have.any.keys("restartPolicy", "startupProbe");
    expect(sidecar.lifecycle?.preStop).to.deep.equal({ exec: { command: ["sleep", "5"] } });
  });

  it("runs the sidecar as its own user without any privilege", () => {
    expect(containerNamed(injected(requestFor(podOf())), "envoy").securityContext).to.deep.equal({
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      privileged: false,
      readOnlyRootFilesystem: true,
      runAsGroup: 1500,
      runAsNonRoot: true,
      runAsUser: 1500,
      seccompProfile: { type: "RuntimeDefault" },
    });
  });

  it("gives osm-init the network only, or everything when MeshConfig says so", () => {
    const modest = containerNamed(injected(requestFor(podOf())), "osm-init").securityContext;
    expect(modest).to.deep.include({
      privileged: false,
      allowPrivilegeEscalation: false,
      capabilities: { add: ["NET_ADMIN", "NET_RAW"], drop: ["ALL"] },
    });
    const meshConfig = meshConfigWith({ sidecar: { enablePrivilegedInitContainer: true } });
    const strong = containerNamed(injected(requestFor(podOf(), { meshConfig })), "osm-init").securityContext;
    expect(strong).to.include({ privileged: true, allowPrivilegeEscalation: true });
  });

  it("takes images, log level, resources and threads from MeshConfig", () => {
    const resources = { limits: { cpu: "2500m", memory: "1Gi" }, requests: { cpu: "10m" } };
    const sidecar = {
      envoyImage: "my/envoy:9",
      initContainerImage: "my/init:9",
      logLevel: "debug" as const,
      resources,
    };
    const pod = expectIdempotent(requestFor(podOf(), { meshConfig: meshConfigWith({ sidecar }) }));
    const envoy = containerNamed(pod, "envoy");
    expect([envoy.image, containerNamed(pod, "osm-init").image]).to.deep.equal(["my/envoy:9", "my/init:9"]);
    expect(envoy.args?.slice(0, 4)).to.deep.equal([
      "--log-level",
      "debug",
      "--service-cluster",
      "seller.shop",
    ]);
    expect(envoy.args?.join(" ")).to.contain("--service-node $(POD_UID) --concurrency 3 ");
    expect(envoy.resources).to.deep.equal({
      limits: resources.limits,
      requests: { cpu: "10m", memory: "1Gi" },
    });
    expect(containerNamed(injected(requestFor(podOf())), "envoy").args?.join(" ")).to.contain(
      "--concurrency 2 ",
    );
  });

  it("carries no Secret: a projected token, the root and two documents about them", () => {
    const pod = injected(requestFor(podOf({}, { volumes: [{ name: "data", emptyDir: {} }] })));
    expect(pod.spec?.volumes?.map(({ name }) => name)).to.deep.equal(["data", ...RESERVED_VOLUMES]);
    expect(pod.spec?.volumes?.[1]).to.have.nested.property(
      "projected.sources[0].serviceAccountToken.audience",
      "osm-mesh",
    );
    expect(pod.spec?.volumes?.[1]).to.have.nested.property("projected.sources[1].configMap.optional", false);
    expect(JSON.stringify(pod)).to.not.match(/"secret(Name)?":\{?"|PRIVATE KEY|BEGIN|eyJ/);
    // Neither of the two containers gets the application's API token (Kubernetes leaves a taken path alone).
    for (const name of ["envoy", "osm-init"]) {
      const paths = containerNamed(pod, name).volumeMounts?.map(({ mountPath }) => mountPath);
      expect(paths).to.include("/var/run/secrets/kubernetes.io/serviceaccount");
    }
  });

  it("announces metrics when the namespace asks for them, and serves them only then", () => {
    const namespace = {
      ...NAMESPACE,
      annotations: { ...NAMESPACE.annotations, [ANNOTATION_METRICS]: "Enabled" },
    };
    const pod = expectIdempotent(requestFor(podOf(), { namespace }));
    expect(pod.metadata?.annotations).to.include({
      "prometheus.io/scrape": "true",
      "prometheus.io/port": "15010",
      "prometheus.io/path": "/stats/prometheus",
    });
    expect(JSON.stringify(bootstrapOf(pod))).to.contain("/stats/prometheus");
    const without = injected(requestFor(podOf()));
    expect(without.metadata?.annotations).to.not.have.property("prometheus.io/scrape");
    expect(JSON.stringify(bootstrapOf(without))).to.not.contain("15010");
  });

  it("tells the sidecar what its pod is counted as: its Deployment, or itself", () => {
    const controller = { kind: "ReplicaSet", name: "shop-5d4f", controller: true };
    const base = podOf();
    const owned = {
      ...base,
      metadata: {
        generateName: "shop-5d4f-",
        labels: { "pod-template-hash": "5d4f" },
        ownerReferences: [{ kind: "Node", name: "n1" }, controller],
      },
    };
    const pod = {
      name: "OSM_POD",
      valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: "metadata.name" } },
    };
    const told = (injectedPod: PodJson): unknown =>
      containerNamed(injectedPod, "envoy").env?.filter(({ name }) =>
        /^(OSM_(NAMESPACE|WORKLOAD|POD)|OTEL_)/.test(name),
      );
    const resource = {
      name: "OTEL_RESOURCE_ATTRIBUTES",
      value: `service.name=seller.${NAMESPACE.name},k8s.namespace.name=${NAMESPACE.name},k8s.pod.name=$(OSM_POD)`,
    };
    expect(told(expectIdempotent(requestFor(owned)))).to.deep.equal([
      { name: "OSM_NAMESPACE", value: NAMESPACE.name },
      { name: "OSM_WORKLOAD_KIND", value: "Deployment" },
      { name: "OSM_WORKLOAD_NAME", value: "shop" },
      pod,
      resource,
    ]);
    expect(told(injected(requestFor(base)))).to.deep.equal([
      { name: "OSM_NAMESPACE", value: NAMESPACE.name },
      { name: "OSM_WORKLOAD_KIND", value: "Pod" },
      { ...pod, name: "OSM_WORKLOAD_NAME" },
      pod,
      resource,
    ]);
  });

  it("leaves everything else of the pod as it was, and its argument too", () => {
    const pod = podOf(
      { resources: { limits: { cpu: "1" } } },
      { terminationGracePeriodSeconds: 77, priority: 5 },
    );
    const before = structuredClone(pod);
    const after = injected(requestFor(pod));
    expect(pod).to.deep.equal(before);
    expect(containersOf(after, "containers")).to.deep.equal(containersOf(pod, "containers"));
    expect(after.spec).to.include({ terminationGracePeriodSeconds: 77, priority: 5 });
    expect(after.metadata).to.include({ name: "app-1", namespace: "shop" });
  });
});

describe("injector: a second call (W-03)", () => {
  for (const [layout, change] of [
    ["native", {}],
    ["classic", classic],
  ] as const) {
    it(`changes nothing, with every kind of probe and hook (${layout})`, () => {
      const request = requestFor(probed, change);
      const pod = expectIdempotent(request);
      expect(pod.metadata?.labels).to.deep.equal({ [LABEL_PROXY_UUID]: request.uid });
    });
  }

  it("keeps what a LimitRange and the API server added to our containers", () => {
    const meshConfig = meshConfigWith({ sidecar: { resources: { limits: { cpu: "1000m" } } } });
    const first = injected(requestFor(podOf(), { meshConfig }));
    const defaulted = { limits: { cpu: "1", memory: "64Mi" }, requests: { cpu: "1", memory: "32Mi" } };
    const stored = {
      ...first,
      spec: {
        ...first.spec,
        initContainers: containersOf(first, "initContainers").map(container => ({
          ...container,
          resources: defaulted,
        })),
      },
    };
    expect(injected(requestFor(stored, { meshConfig }))).to.deep.equal(stored);
  });

  it("keeps another webhook's change of the application and undoes its change of ours", () => {
    const first = injected(requestFor(probed));
    const touch = (container: Container): Container => ({
      ...container,
      env: [{ name: "LD_PRELOAD", value: "/x" }],
    });
    const touched = {
      ...first,
      spec: {
        ...first.spec,
        containers: [...containersOf(first, "containers").map(touch), { name: "agent", image: "a" }],
        initContainers: containersOf(first, "initContainers").map(container =>
          container.name === "envoy"
            ? { ...container, env: [...(container.env ?? []), { name: "LD_PRELOAD", value: "/x" }] }
            : container,
        ),
      },
    };
    const second = injected(requestFor(touched));
    expect(containersOf(second, "containers")).to.deep.equal(touched.spec.containers);
    expect(containersOf(second, "initContainers")).to.deep.equal(containersOf(first, "initContainers"));
  });

  it("makes a consistent pod of a debug copy, which has neither labels, annotations nor probes", () => {
    const first = injected(requestFor(probed));
    const bare = containersOf(first, "containers").map(({ name, image, ports, lifecycle }) => ({
      name,
      ...(image === undefined ? {} : { image: `${image}-debug` }),
      ...(ports === undefined ? {} : { ports }),
      ...(lifecycle === undefined ? {} : { lifecycle }),
    }));
    const copy = {
      metadata: { name: "copy" },
      spec: { ...first.spec, containers: [...bare, { name: "debugger" }] },
    };
    const pod = expectIdempotent(requestFor(copy, { uid: "copy-uid" }));
    expect(names(pod, "initContainers")).to.deep.equal(["osm-init", "envoy"]);
    expect(pod.metadata?.labels).to.deep.equal({ [LABEL_PROXY_UUID]: "copy-uid" });
    const app = containerNamed(pod, "app");
    expect(app).to.not.have.any.keys("livenessProbe", "readinessProbe", "startupProbe");
    expect(app.lifecycle?.preStop?.httpGet?.path).to.equal("/osm-pre-stop-hook/app/copy-uid");
    expect(JSON.stringify(bootstrapOf(pod)))
      .to.contain("/bye?cost=$(HOME)$$")
      .and.not.contain("osm-liveness-probe");
  });

  it("follows a MeshConfig that has changed since the first one", () => {
    const first = injected(requestFor(probed));
    const meshConfig = meshConfigWith({ sidecar: { envoyImage: "new/envoy:2" } });
    const second = injected(requestFor(first, { meshConfig }));
    expect(second).to.deep.equal(injected(requestFor(probed, { meshConfig })));
  });

  it("moves between layouts", () => {
    const native = injected(requestFor(probed));
    expect(injected(requestFor(native, classic))).to.deep.equal(injected(requestFor(probed, classic)));
  });

  it("keeps the record of originals from the kubelet's variable expansion", () => {
    const record = containerNamed(injected(requestFor(probed)), "envoy").env?.find(
      ({ name }) => name === ENV_ORIGINALS,
    );
    expect(record?.value).to.contain("$$(HOME)$$$$");
  });
});
