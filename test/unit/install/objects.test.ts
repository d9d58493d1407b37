import { expect } from "chai";
import { validateCustomObject } from "../../../src/api/kinds";
import { covers, isAsWanted } from "../../../src/install/covers";
import { DEFAULT_POD_SIZE, sizedDeployment } from "../../../src/install/deployments";
import { defaultMeshConfig } from "../../../src/install/mesh-config";
import { isMeshNamespace, mirroring, namespaceFacts } from "../../../src/install/namespace-facts";
import { collectionPath, objectPath } from "../../../src/install/object";
import { adsService, webhookService } from "../../../src/install/services";
import { readWebhookSecret, webhookSecret } from "../../../src/install/webhook-secret";
import { injectionWebhook, validationWebhook } from "../../../src/install/webhooks";

const settings = { meshName: "osm", osmNamespace: "osm-system" };
const material = { caPem: "-----BEGIN CERTIFICATE-----\n", path: "a-path" };

interface Webhook {
  readonly name: string;
  readonly failurePolicy: string;
  readonly sideEffects: string;
  readonly timeoutSeconds: number;
  readonly reinvocationPolicy?: string;
  readonly clientConfig: { readonly service: { readonly path: string; readonly namespace: string } };
  readonly namespaceSelector: {
    readonly matchExpressions: readonly { key: string; operator: string; values?: readonly string[] }[];
  };
  readonly matchConditions?: readonly { name: string }[];
}
const webhooksOf = (object: object): readonly Webhook[] => (object as { webhooks: Webhook[] }).webhooks;

describe("webhook configurations", () => {
  const [inject, ...others] = webhooksOf(injectionWebhook(settings, material));
  if (inject === undefined) throw new Error("no webhook");

  it("ask about pods of opted-in namespaces only", () => {
    expect(others).to.deep.equal([]);
    const [label, ignore, names] = inject.namespaceSelector.matchExpressions;
    expect(label).to.deep.equal({ key: "openservicemesh.io/monitored-by", operator: "In", values: ["osm"] });
    expect(ignore).to.deep.equal({ key: "openservicemesh.io/ignore", operator: "DoesNotExist" });
    expect(names).to.have.property("operator", "NotIn");
    expect(names)
      .to.have.property("values")
      .that.includes.members(["kube-system", "pepr-system", "osm-system"]);
    const conditions = (inject.matchConditions ?? []).map(({ name }) => name);
    expect(conditions).to.deep.equal(["not-host-network", "not-mirror-pod"]);
  });

  it("fail closed, without side effects, at a stable path", () => {
    expect(inject).to.include({ failurePolicy: "Fail", sideEffects: "None", reinvocationPolicy: "IfNeeded" });
    expect(inject.timeoutSeconds).to.be.within(5, 10);
    expect(inject.clientConfig.service.path).to.equal("/mutate/a-path");
  });

  it("refuse what steers the mesh when nobody judges it, and let users' policies pass", () => {
    const policies = Object.fromEntries(
      webhooksOf(validationWebhook(settings, material)).map(w => [w.name, w.failurePolicy]),
    );
    expect(policies).to.deep.equal({
      "control-plane.openservicemesh.io": "Fail",
      "policy.openservicemesh.io": "Ignore",
      "pods.openservicemesh.io": "Fail",
    });
  });
});

describe("default MeshConfig", () => {
  it("has OSM's defaults and TLS 1.3, is found valid, and takes the installer's presets", () => {
    const config = defaultMeshConfig(settings, {});
    expect(validateCustomObject("MeshConfig", config)).to.deep.equal([]);
    const spec = config["spec"] as Record<string, Record<string, unknown>>;
    expect(spec["traffic"]?.["enableEgress"]).to.equal(true);
    expect(spec["traffic"]?.["enablePermissiveTrafficPolicyMode"]).to.equal(true);
    expect(spec["sidecar"]?.["tlsMinProtocolVersion"]).to.equal("TLSv1_3");
    const preset = defaultMeshConfig(
      { ...settings, osmNamespace: "mesh" },
      { permissive: false, egress: false },
    );
    const presetSpec = preset["spec"] as Record<string, Record<string, unknown>>;
    expect(presetSpec["traffic"]?.["enablePermissiveTrafficPolicyMode"]).to.equal(false);
    expect(presetSpec["traffic"]?.["enableEgress"]).to.equal(false);
    expect(presetSpec["observability"]?.["tracing"]).to.include({ address: "jaeger.mesh.svc.cluster.local" });
  });
});

describe("paths of objects", () => {
  it("are those of the API", () => {
    expect(objectPath(adsService(settings))).to.equal(
      "/api/v1/namespaces/pepr-system/services/osm-controller",
    );
    expect(objectPath(injectionWebhook(settings, material))).to.equal(
      "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/pepr-osm",
    );
    expect(collectionPath(defaultMeshConfig(settings, {}))).to.equal(
      "/apis/config.openservicemesh.io/v1alpha2/namespaces/osm-system/meshconfigs",
    );
  });
});

describe("drift", () => {
  const wanted = webhookService(settings);
  const live = {
    metadata: { ...wanted.metadata, uid: "u", resourceVersion: "1" },
    spec: { ...(wanted["spec"] as object), clusterIP: "10.0.0.1", ipFamilies: ["IPv4"] },
  };

  it("is not seen in defaults that the API server adds", () => {
    expect(isAsWanted(live, wanted)).to.equal(true);
  });

  it("is seen in a changed, missing or additional entry", () => {
    const spec = wanted["spec"] as { ports: object[]; selector: Record<string, string> };
    expect(isAsWanted({ ...live, spec: { ...live.spec, selector: { app: "other" } } }, wanted)).to.equal(
      false,
    );
    expect(isAsWanted({ ...live, spec: { ...live.spec, ports: [] } }, wanted)).to.equal(false);
    expect(isAsWanted({ ...live, spec: { ...live.spec, ports: [...spec.ports, {}] } }, wanted)).to.equal(
      false,
    );
    expect(isAsWanted({ ...live, metadata: { name: "x" } }, wanted)).to.equal(false);
  });

  it("of a selector that should be empty is seen", () => {
    expect(covers({}, {})).to.equal(true);
    expect(covers(undefined, {})).to.equal(true);
    expect(covers({ matchLabels: { a: "b" } }, {})).to.equal(false);
  });
});

describe("size of the control plane's Deployments", () => {
  const live = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: {
      name: "pepr-osm",
      namespace: "pepr-system",
      annotations: { "deployment.kubernetes.io/revision": "3", "pepr.dev/description": "d" },
      resourceVersion: "7",
      labels: { app: "pepr-osm" },
    },
    spec: {
      replicas: 2,
      template: {
        metadata: { labels: { app: "pepr-osm" } },
        spec: {
          serviceAccountName: "pepr-osm",
          containers: [
            { name: "server", image: "i", resources: { limits: { cpu: "500m", memory: "512Mi" } } },
          ],
        },
      },
    },
  };

  it("is applied in full, so that nothing of Pepr's is dropped, and then found to be right", () => {
    const sized = sizedDeployment(live, DEFAULT_POD_SIZE);
    expect(sized).to.not.equal(undefined);
    const spec = sized?.["spec"] as typeof live.spec;
    expect(spec.replicas).to.equal(2);
    expect(spec.template.metadata).to.deep.equal(live.spec.template.metadata);
    expect(spec.template.spec).to.include({
      serviceAccountName: "pepr-osm",
      terminationGracePeriodSeconds: 15,
    });
    expect(spec.template.spec.containers[0]).to.include({ name: "server", image: "i" });
    expect(spec.template.spec.containers[0]?.resources.limits).to.deep.equal({ cpu: "1", memory: "1Gi" });
    expect(sized?.metadata.resourceVersion).to.equal("7");
    expect(sized?.metadata.annotations).to.deep.equal({ "pepr.dev/description": "d" });
    expect(sizedDeployment({ ...live, spec }, DEFAULT_POD_SIZE)).to.equal(undefined);
  });

  const podSpecFor = (more: object): Readonly<Record<string, unknown>> => {
    const { template } = live.spec;
    const changed = {
      ...live,
      spec: { ...live.spec, template: { ...template, spec: { ...template.spec, ...more } } },
    };
    const sized = sizedDeployment(changed, DEFAULT_POD_SIZE)?.["spec"] as typeof live.spec;
    return sized.template.spec;
  };
  const away = (matchLabels: object): object => {
    const podAffinityTerm = { labelSelector: { matchLabels }, topologyKey: "kubernetes.io/hostname" };
    const preferred = [{ weight: 100, podAffinityTerm }];
    return { podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: preferred } };
  };

  it("keeps an affinity that somebody chose, and not the default of an older release", () => {
    const admission = away({ app: "pepr-osm", "pepr.dev/controller": "admission" });
    const former = away({ app: "pepr-osm-watcher", "pepr.dev/controller": "watcher" });
    const nodeAffinity = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{}] } };
    expect(podSpecFor({})["affinity"]).to.deep.equal(admission);
    expect(podSpecFor({ affinity: former })["affinity"]).to.deep.equal(admission);
    for (const own of [{ nodeAffinity }, { ...former, nodeAffinity }, away({ app: "database" })])
      expect(podSpecFor({ affinity: own })["affinity"]).to.deep.equal(own);
  });

  it("keeps a seccomp profile that somebody chose", () => {
    const seccompProfile = { type: "Localhost", localhostProfile: "mesh.json" };
    expect(
      podSpecFor({ securityContext: { runAsUser: 7, seccompProfile } })["securityContext"],
    ).to.deep.equal({
      runAsUser: 7,
      seccompProfile,
    });
    expect(podSpecFor({ securityContext: { runAsUser: 7 } })["securityContext"]).to.deep.equal({
      runAsUser: 7,
      seccompProfile: { type: "RuntimeDefault" },
    });
  });
});

describe("namespaces", () => {
  const facts = (labels: Record<string, string>, annotations: Record<string, string>, name = "shop") =>
    namespaceFacts({ metadata: { name, labels, annotations } });
  const MARK = "openservicemesh.io/sidecar-injection";
  const LABEL = "openservicemesh.io/monitored-by";

  const table: readonly [string, Record<string, string>, Record<string, string>, string][] = [
    ["annotation alone", {}, { [MARK]: "enabled" }, "add"],
    ["annotation alone, other spelling", {}, { [MARK]: "YES" }, "add"],
    ["annotation says no", {}, { [MARK]: "disabled" }, "keep"],
    ["both", { [LABEL]: "osm" }, { [MARK]: "enabled" }, "keep"],
    ["annotation switched off while in the mesh", { [LABEL]: "osm" }, { [MARK]: "disabled" }, "keep"],
    ["label alone", { [LABEL]: "osm" }, {}, "withdraw"],
    ["another mesh", { [LABEL]: "other" }, { [MARK]: "enabled" }, "keep"],
    ["another mesh without annotation", { [LABEL]: "other" }, {}, "keep"],
    ["neither", {}, {}, "keep"],
  ];
  for (const [title, labels, annotations, expected] of table) {
    it(`${title}: label is to be ${expected}`, () => {
      expect(mirroring(facts(labels, annotations), settings)).to.equal(expected);
    });
  }

  it("of the control plane and of the cluster are never touched", () => {
    for (const name of ["kube-system", "pepr-system", "osm-system"]) {
      expect(mirroring(facts({}, { [MARK]: "enabled" }, name), settings)).to.equal("keep");
      expect(isMeshNamespace(facts({ [LABEL]: "osm" }, {}, name), settings)).to.equal(false);
    }
  });

  it("keep only what the mesh reads", () => {
    const kept = facts({ [LABEL]: "osm", team: "a" }, { [MARK]: "no", note: "x" });
    expect(kept.labels).to.deep.equal({ [LABEL]: "osm" });
    expect(kept.annotations).to.deep.equal({ [MARK]: "no" });
    expect(isMeshNamespace(kept, settings)).to.equal(true);
    expect(
      isMeshNamespace(facts({ [LABEL]: "osm", "openservicemesh.io/ignore": "" }, {}), settings),
    ).to.equal(false);
  });
});

describe("webhook Secret", () => {
  const identity = { caCertPem: "a", caKeyPem: "b", certPem: "c", keyPem: "d", path: "e" };

  it("is read back as it was written, and refused when a part is missing", () => {
    const secret = webhookSecret(settings, identity);
    expect(readWebhookSecret(secret)).to.deep.equal(identity);
    const data = { ...(secret["data"] as Record<string, string>) };
    delete data["tls.key"];
    expect(readWebhookSecret({ data })).to.equal(undefined);
    expect(readWebhookSecret({})).to.equal(undefined);
  });
});
