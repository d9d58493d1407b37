import { expect } from "chai";
import fc from "fast-check";
import { DEFAULT_MESH_CONFIG } from "../../../src/api/mesh-config";
import { apiKind, validateCustomObject } from "../../../src/api/kinds";
import type { IngestKind } from "../../../src/ingest/index";
import { createProjectors } from "../../../src/ingest/index";
import { BAD_FIELDS, BAD_ONLY_BY_VALIDATION, meshConfigWith } from "../../support/mesh-config-cases";
import { meshConfig, namespace, pod, service, slice } from "../../support/objects";

const projectors = createProjectors("osm");

function project<K extends IngestKind>(kind: K, object: unknown) {
  return projectors[kind].project(object).value as ReturnType<(typeof projectors)[K]["project"]>["value"];
}

describe("ingest", () => {
  it("never throws, whatever the JSON", () => {
    const paths = [
      "metadata",
      "spec",
      "status",
      "labels",
      "annotations",
      "ports",
      "endpoints",
      "addresses",
      "selector",
    ];
    const shaped = fc.dictionary(
      fc.constantFrom(...paths, "containers", "sidecar", "traffic", "name"),
      fc.jsonValue(),
    );
    fc.assert(
      fc.property(
        fc.oneof(fc.jsonValue(), shaped, fc.dictionary(fc.constantFrom(...paths), shaped)),
        object => {
          for (const projector of Object.values(projectors)) {
            const compiled = projector.project(object);
            expect(compiled.diagnostics).to.be.an("array");
            const unusable = compiled.diagnostics.some(found => found.severity === "error");
            if (compiled.value === undefined)
              expect([apiKind(projector.kind)?.kind, unusable]).to.deep.equal([projector.kind, true]);
            else expect(JSON.stringify(compiled.value)).to.be.a("string");
            expect(projector.key(object)).to.be.a("string");
          }
        },
      ),
      { numRuns: 500 },
    );
  }).timeout(120_000);

  it("lists the collections that are watched", () => {
    expect(Object.values(projectors).map(p => `${p.kind} ${p.apiPath}`)).to.deep.equal([
      "Namespace /api/v1/namespaces",
      "Service /api/v1/services",
      "EndpointSlice /apis/discovery.k8s.io/v1/endpointslices",
      "Pod /api/v1/pods",
      "ServiceAccount /api/v1/serviceaccounts",
      "MeshConfig /apis/config.openservicemesh.io/v1alpha2/meshconfigs",
      "ExternalWorkload /apis/config.openservicemesh.io/v1alpha2/externalworkloads",
      "TrafficTarget /apis/access.smi-spec.io/v1alpha3/traffictargets",
      "IdentityBinding /apis/access.smi-spec.io/v1alpha4/identitybindings",
      "HTTPRouteGroup /apis/specs.smi-spec.io/v1alpha4/httproutegroups",
      "TCPRoute /apis/specs.smi-spec.io/v1alpha4/tcproutes",
      "UDPRoute /apis/specs.smi-spec.io/v1alpha4/udproutes",
      "TrafficSplit /apis/split.smi-spec.io/v1alpha2/trafficsplits",
      "Egress /apis/policy.openservicemesh.io/v1alpha1/egresses",
      "IngressBackend /apis/policy.openservicemesh.io/v1alpha1/ingressbackends",
      "Retry /apis/policy.openservicemesh.io/v1alpha1/retries",
      "UpstreamTrafficSetting /apis/policy.openservicemesh.io/v1alpha1/upstreamtrafficsettings",
      "Telemetry /apis/policy.openservicemesh.io/v1alpha1/telemetries",
      "ExtensionService /apis/config.openservicemesh.io/v1alpha2/extensionservices",
    ]);
    expect(projectors.Namespace.key(namespace("shop"))).to.equal("shop");
    expect(projectors.Pod.key(pod({ namespace: "shop", name: "p", ips: [] }))).to.equal("shop/p");
    expect(project("ServiceAccount", { metadata: { name: "cart", namespace: "shop" } })).to.deep.equal({
      namespace: "shop",
      serviceAccount: "cart",
    });
  });
});

describe("ingest of Namespace", () => {
  const monitored = "openservicemesh.io/monitored-by";
  const injection = "openservicemesh.io/sidecar-injection";
  const rows: readonly (readonly [
    string,
    Record<string, string>,
    Record<string, string>,
    boolean,
    boolean | undefined,
  ])[] = [
    ["of this mesh", { [monitored]: "osm" }, {}, true, undefined],
    ["of another mesh", { [monitored]: "other" }, {}, false, undefined],
    ["ignored", { [monitored]: "osm", "openservicemesh.io/ignore": "" }, {}, false, undefined],
    ["without label", {}, { [injection]: "enabled" }, false, true],
    ["switch in capitals", { [monitored]: "osm" }, { [injection]: "YES" }, true, true],
    ["switched off", { [monitored]: "osm" }, { [injection]: "no" }, true, false],
    ["an unknown word", { [monitored]: "osm" }, { [injection]: "maybe" }, true, undefined],
  ];
  for (const [name, labels, annotations, meshed, switched] of rows) {
    it(name, () => {
      const value = project("Namespace", { metadata: { name: "shop", labels, annotations } });
      const rest = { metrics: false, permissive: undefined, plaintext: false };
      expect(value).to.deep.equal({ name: "shop", meshed, injection: switched, ...rest });
    });
  }

  it("says how its pods take calls, where it says so", () => {
    const mode = "openservicemesh.io/permissive-traffic-policy-mode";
    const plaintext = "openservicemesh.io/inbound-plaintext";
    const read = (annotations: Record<string, string>): readonly unknown[] => {
      const value = project("Namespace", { metadata: { name: "shop", annotations } });
      return [value.permissive, value.plaintext];
    };
    expect(read({ [mode]: "enabled" })).to.deep.equal([true, false]);
    expect(read({ [mode]: "Disabled", [plaintext]: "enabled" })).to.deep.equal([false, true]);
    expect(read({ [mode]: "on", [plaintext]: "on" })).to.deep.equal([undefined, false]);
  });
});

describe("ingest of Service", () => {
  it("keeps addresses, ports and selector", () => {
    const value = project(
      "Service",
      service({
        namespace: "shop",
        name: "cart",
        clusterIPs: ["10.0.0.1", "fd00::1"],
        selector: { b: "2", a: "1" },
        ports: [
          { name: "http", port: 80, targetPort: "web", appProtocol: "http" },
          { name: "dns", port: 53, protocol: "UDP" },
        ],
      }),
    );
    expect(value).to.deep.equal({
      namespace: "shop",
      name: "cart",
      kind: "clusterIP",
      addresses: ["10.0.0.1", "fd00::1"],
      selector: { a: "1", b: "2" },
      ports: [
        { name: "http", port: 80, targetPort: "web", transport: "TCP", appProtocol: "http" },
        { name: "dns", port: 53, targetPort: 53, transport: "UDP", appProtocol: undefined },
      ],
    });
  });

  it("tells headless, ExternalName and selector-less Services apart", () => {
    const base = { namespace: "shop", name: "cart", ports: [] };
    expect(project("Service", service({ ...base, clusterIPs: ["None"] }))).to.include({ kind: "headless" });
    expect(project("Service", service({ ...base, clusterIPs: ["None"] })).addresses).to.deep.equal([]);
    expect(project("Service", service({ ...base, type: "ExternalName" })).kind).to.equal("externalName");
    expect(project("Service", service({ ...base, selector: null })).selector).to.equal(undefined);
    expect(project("Service", service({ ...base, selector: {} })).selector, "empty selects nothing").to.equal(
      undefined,
    );
  });

  it("reads an old Service that has only clusterIP, and drops ports that cannot be", () => {
    const value = project("Service", {
      metadata: { name: "cart", namespace: "shop" },
      spec: {
        clusterIP: "10.0.0.1",
        ports: [{ port: 0 }, { port: 80, protocol: "QUIC" }, { port: 81 }, null],
      },
    });
    expect(value.addresses).to.deep.equal(["10.0.0.1"]);
    expect(value.ports.map(port => port.port)).to.deep.equal([81]);
  });
});

describe("ingest of EndpointSlice", () => {
  it("takes the first address of an endpoint and an absent condition as ready", () => {
    const value = project("EndpointSlice", {
      metadata: { name: "cart-1", namespace: "shop", labels: { "kubernetes.io/service-name": "cart" } },
      addressType: "IPv4",
      ports: [{ name: "http", port: 8080 }, { port: 53, protocol: "UDP" }, { name: "none" }],
      endpoints: [
        { addresses: ["10.0.0.1", "10.0.0.2"], targetRef: { kind: "Pod", name: "p", uid: "u" }, zone: "z" },
        {
          addresses: ["10.0.0.3"],
          conditions: { ready: false },
          targetRef: { kind: "Node", name: "n", uid: "v" },
        },
        { addresses: [] },
      ],
    });
    expect(value.service).to.equal("cart");
    expect(value.ports).to.deep.equal([
      { name: "http", port: 8080, transport: "TCP" },
      { name: "", port: 53, transport: "UDP" },
    ]);
    expect(value.endpoints.map(e => [e.address, e.ready, e.podUid, e.zone])).to.deep.equal([
      ["10.0.0.1", true, "u", "z"],
      ["10.0.0.3", false, undefined, undefined],
    ]);
  });

  it("keeps the address type", () => {
    const spec = { namespace: "shop", service: "cart", ports: [], endpoints: [] };
    const types = ["IPv4", "IPv6", "FQDN", "new"].map(
      addressType => project("EndpointSlice", slice({ ...spec, addressType })).addressType,
    );
    expect(types).to.deep.equal(["IPv4", "IPv6", "FQDN", "FQDN"]);
  });
});

describe("ingest of Pod", () => {
  const base = { namespace: "shop", name: "cart-1", ips: ["10.0.0.1"] };

  it("knows a pod with our sidecar by label and container together", () => {
    const meshed = pod(base);
    const withoutLabel = { ...meshed, metadata: { ...meshed.metadata, labels: {} } };
    const withoutContainer = { ...meshed, spec: { containers: [{ name: "app" }] } };
    const native = {
      ...meshed,
      spec: { initContainers: [{ name: "envoy" }], containers: [{ name: "app" }] },
    };
    const onHost = pod({ ...base, hostNetwork: true });
    const seen = [meshed, native, withoutLabel, withoutContainer, onHost].map(o => project("Pod", o).meshed);
    expect(seen).to.deep.equal([true, true, false, false, false]);
  });

  it("keeps identity, addresses and named TCP ports", () => {
    const value = project("Pod", {
      metadata: { name: "cart-1", namespace: "shop", uid: "u" },
      spec: {
        containers: [
          {
            ports: [
              { name: "web", containerPort: 8080 },
              { name: "dns", containerPort: 53, protocol: "UDP" },
            ],
          },
          { ports: [{ name: "web", containerPort: 9999 }] },
        ],
      },
      status: { podIPs: [{ ip: "10.0.0.1" }, { ip: "fd00::1" }], podIP: "10.0.0.1" },
    });
    expect(value.identity).to.deep.equal({ namespace: "shop", serviceAccount: "default" });
    expect(value.ips).to.deep.equal(["10.0.0.1", "fd00::1"]);
    expect(value.namedPorts).to.deep.equal({ web: 8080 });
  });

  it("knows the excluded ports of a sidecar from what its init container was told, not from the annotation", () => {
    const annotated = pod(base);
    const annotations = { "openservicemesh.io/inbound-port-exclusion-list": "7070" };
    const values = [
      pod({ ...base, excludedPorts: [9090, 80, 9090] }),
      pod({ ...base, excludedPorts: [9090], meshed: false }),
      { ...annotated, metadata: { ...annotated.metadata, annotations } },
      pod({ ...base, excludedPorts: [0, 70000, Number.NaN] }),
    ];
    const seen = values.map(value => project("Pod", value).excludedPorts);
    expect(seen).to.deep.equal([[80, 9090], undefined, undefined, undefined]);
  });

  it("tells the end of a pod from its end being near", () => {
    const phases = ["Running", "Succeeded", "Failed"].map(
      phase => project("Pod", pod({ ...base, phase })).terminated,
    );
    expect(phases).to.deep.equal([false, true, true]);
    const ending = project("Pod", pod({ ...base, terminating: true }));
    expect([ending.terminated, ending.terminating]).to.deep.equal([false, true]);
  });

  const owners: readonly (readonly [
    string,
    Record<string, string>,
    unknown[],
    { kind: string; name: string },
  ])[] = [
    ["none", {}, [], { kind: "Pod", name: "cart-1" }],
    [
      "a Deployment through its ReplicaSet",
      { "pod-template-hash": "abc" },
      [{ kind: "ReplicaSet", name: "cart-abc", controller: true }],
      { kind: "Deployment", name: "cart" },
    ],
    [
      "a ReplicaSet of its own",
      {},
      [{ kind: "ReplicaSet", name: "cart-abc", controller: true }],
      { kind: "ReplicaSet", name: "cart-abc" },
    ],
    [
      "itself, where the controller's kind is none (owner references are not checked)",
      {},
      [{ kind: '%REQ(x)% "', name: "cart", controller: true }],
      { kind: "Pod", name: "cart-1" },
    ],
    [
      "itself, where the controller's name is longer than a name can be",
      {},
      [{ kind: "Job", name: "x".repeat(254), controller: true }],
      { kind: "Pod", name: "cart-1" },
    ],
    [
      "the controller, not another owner",
      {},
      [
        { kind: "Node", name: "n" },
        { kind: "StatefulSet", name: "db", controller: true },
      ],
      { kind: "StatefulSet", name: "db" },
    ],
  ];
  for (const [name, labels, ownerReferences, want] of owners) {
    it(`workload: ${name}`, () => {
      const metadata = { name: "cart-1", namespace: "shop", labels, ownerReferences };
      expect(project("Pod", { metadata }).workload).to.deep.equal(want);
    });
  }
});

describe("ingest of MeshConfig", () => {
  it("fills in every default", () => {
    expect(project("MeshConfig", meshConfig({}))).to.deep.equal(DEFAULT_MESH_CONFIG);
    expect(project("MeshConfig", {})).to.deep.equal(DEFAULT_MESH_CONFIG);
  });

  it("keeps what is given", () => {
    const spec = {
      sidecar: { logLevel: "debug", resources: { limits: { cpu: 1 } }, tlsMinProtocolVersion: "TLSv1_2" },
      traffic: { enableEgress: false, outboundPortExclusionList: [22] },
      certificate: {
        ingressGateway: {
          subjectAltNames: ["gw"],
          validityDuration: "24h",
          secret: { name: "osm-ingress-client-cert", namespace: "osm-system" },
        },
      },
    };
    const { value, diagnostics } = projectors.MeshConfig.project(meshConfig(spec));
    expect(diagnostics).to.deep.equal([]);
    if (value === undefined) throw new Error("not valid");
    expect(value.sidecar.logLevel).to.equal("debug");
    expect(value.sidecar.resources).to.deep.equal({ limits: { cpu: "1" } });
    expect(value.traffic.enableEgress).to.equal(false);
    expect(value.traffic.outboundPortExclusionList).to.deep.equal([22]);
    expect(value.certificate.ingressGateway?.secret.name).to.equal("osm-ingress-client-cert");
  });

  for (const bad of [...BAD_FIELDS, ...BAD_ONLY_BY_VALIDATION]) {
    it(`takes nothing from a MeshConfig with ${bad.field} = ${JSON.stringify(bad.value)}`, () => {
      const { value, diagnostics } = projectors.MeshConfig.project(meshConfigWith(bad));
      expect(value).to.equal(undefined);
      // The same judge as the webhook's and status': one reading, one answer.
      expect(diagnostics).to.deep.equal(validateCustomObject("MeshConfig", meshConfigWith(bad)));
      expect(diagnostics[0]?.field).to.equal(bad.field);
    });
  }

  it("takes what is valid though part of it has no effect, and only the fields there are", () => {
    const { value, diagnostics } = projectors.MeshConfig.project(
      meshConfig({ certificate: { certKeyBitSize: 4096 }, sidecar: { later: true }, more: {} }),
    );
    expect(value).to.deep.equal({
      ...DEFAULT_MESH_CONFIG,
      certificate: { ...DEFAULT_MESH_CONFIG.certificate, certKeyBitSize: 4096 },
    });
    expect(diagnostics.map(({ severity, field }) => [severity, field])).to.deep.equal([
      ["warning", "spec.certificate.certKeyBitSize"],
    ]);
  });
});
