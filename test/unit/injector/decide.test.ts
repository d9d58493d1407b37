import { expect } from "chai";
import { inject } from "../../../src/injector/inject";
import type { NamespaceFacts } from "../../../src/injector/decide";
import type { PodJson } from "../../../src/injector/pod";
import { ANNOTATION_INJECTION, ANNOTATION_METRICS } from "../../../src/model/mesh-words";
import { NAMESPACE, podOf, requestFor } from "../../support/injection";

const annotated = (value: string, spec = {}): PodJson => ({
  ...podOf({}, spec),
  metadata: { annotations: { [ANNOTATION_INJECTION]: value } },
});
const namespaceSaying = (value: string | undefined): NamespaceFacts => ({
  ...NAMESPACE,
  annotations: value === undefined ? {} : { [ANNOTATION_INJECTION]: value },
});

describe("injector: which pods", () => {
  const on = ["enabled", "yes", "true", "Enabled", "YES", "True"];
  const off = ["disabled", "no", "false", "DISABLED", "No", "fAlse"];

  for (const word of on) {
    it(`injects when the namespace says ${word}`, () => {
      expect(inject(requestFor(podOf(), { namespace: namespaceSaying(word) })).kind).to.equal("inject");
    });
    it(`injects when only the pod says ${word}`, () => {
      const request = requestFor(annotated(word), { namespace: namespaceSaying(undefined) });
      expect(inject(request).kind).to.equal("inject");
      const against = requestFor(annotated(word), { namespace: namespaceSaying("disabled") });
      expect(inject(against).kind).to.equal("inject");
    });
  }
  for (const word of off) {
    it(`leaves a pod that says ${word}`, () => {
      expect(inject(requestFor(annotated(word)))).to.deep.equal({ kind: "skip", reason: "OptedOut" });
    });
    it(`leaves pods of a namespace that says ${word}`, () => {
      const request = requestFor(podOf(), { namespace: namespaceSaying(word) });
      expect(inject(request)).to.deep.equal({ kind: "skip", reason: "NotRequested" });
    });
  }
  it("leaves pods of a mesh namespace without annotation", () => {
    const request = requestFor(podOf(), { namespace: namespaceSaying(undefined) });
    expect(inject(request)).to.deep.equal({ kind: "skip", reason: "NotRequested" });
  });

  for (const word of ["", "on", "enable", "1", "__proto__", "toString", "enabled "]) {
    it(`refuses ${JSON.stringify(word)} and names the annotation`, () => {
      const onPod = inject(requestFor(annotated(word)));
      expect(onPod).to.include({ kind: "refuse", field: `metadata.annotations[${ANNOTATION_INJECTION}]` });
      const onNamespace = inject(requestFor(podOf(), { namespace: namespaceSaying(word) }));
      expect(onNamespace.kind).to.equal("refuse");
      expect((onNamespace as { message: string }).message)
        .to.contain(ANNOTATION_INJECTION)
        .and.contain("shop");
    });
  }

  it("refuses a metrics annotation that is not understood", () => {
    const namespace = {
      ...NAMESPACE,
      annotations: { ...NAMESPACE.annotations, [ANNOTATION_METRICS]: "maybe" },
    };
    const result = inject(requestFor(podOf(), { namespace }));
    expect(result.kind).to.equal("refuse");
    expect((result as { message: string }).message).to.contain(ANNOTATION_METRICS);
  });

  it("stays out of namespaces that are not its mesh's", () => {
    const cases: [string, Partial<NamespaceFacts>][] = [
      ["NamespaceNotMeshed", { labels: {} }],
      ["NamespaceNotMeshed", { labels: { "openservicemesh.io/monitored-by": "other" } }],
      ["NamespaceIgnored", { labels: { ...NAMESPACE.labels, "openservicemesh.io/ignore": "" } }],
      ["ControlPlaneNamespace", { name: "kube-system" }],
      ["ControlPlaneNamespace", { name: "kube-public" }],
      ["ControlPlaneNamespace", { name: "osm-system" }],
      ["ControlPlaneNamespace", { name: "pepr-system" }],
    ];
    for (const [reason, change] of cases) {
      const namespace: NamespaceFacts = { ...NAMESPACE, ...change };
      expect(inject(requestFor(annotated("enabled"), { namespace }))).to.deep.equal({ kind: "skip", reason });
    }
  });

  it("tells the owner of a pod with the host's network, or on Windows, that asked for a sidecar", () => {
    const windows = { nodeSelector: { "kubernetes.io/os": "windows" } };
    const cases: [string, object][] = [
      ["HostNetwork", { hostNetwork: true }],
      ["Windows", windows],
      ["Windows", { os: { name: "windows" } }],
    ];
    for (const [reason, spec] of cases) {
      const result = inject(requestFor(podOf({}, spec)));
      expect(result).to.include({ kind: "skip", reason });
      expect(result).to.have.nested.property("event.reason", "SidecarNotInjected");
      expect(inject(requestFor(annotated("no", spec)))).to.deep.equal({ kind: "skip", reason });
    }
  });

  it("leaves the kubelet's mirror pods", () => {
    const pod = { ...podOf(), metadata: { annotations: { "kubernetes.io/config.mirror": "x" } } };
    expect(inject(requestFor(pod))).to.deep.equal({ kind: "skip", reason: "MirrorPod" });
  });
});
