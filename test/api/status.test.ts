import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { API_KINDS, validateCustomObject } from "../../src/api/kinds";
import { systemClock } from "../../src/runtime/clock";
import type { KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { watchedLog } from "../support/told-errors";
import { createEventWriter, type MeshEvent } from "../../src/runtime/status/events";
import { createStatusWriter, type StatusWriter } from "../../src/runtime/status/writer";
import type { Condition } from "../../src/status/conditions";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { serveKinds } from "../support/served-kinds";

const RETRIES = "/apis/policy.openservicemesh.io/v1alpha1/namespaces/default/retries";

interface WithStatus extends KubeObject {
  readonly status?: { readonly conditions?: readonly Condition[]; readonly observedGeneration?: number };
}

function retry(name: string, retryOn: string): KubeObject & { spec: unknown } {
  const account = { kind: "ServiceAccount", name: "a", namespace: "default" };
  const service = { kind: "Service", name: "b", namespace: "default" };
  return {
    apiVersion: "policy.openservicemesh.io/v1alpha1",
    kind: "Retry",
    metadata: { name, namespace: "default" },
    spec: { source: account, destinations: [service], retryPolicy: { retryOn } },
  };
}

describe("status and events on a real API server", function () {
  this.timeout(180_000);
  let server: TestApiServer;
  let kube: ClosableKubeClient;
  let writer: StatusWriter;
  before(async () => {
    server = await startApiServerForTest();
    kube = server.client();
    await serveKinds(kube);
    writer = createStatusWriter({
      kube,
      clock: systemClock,
      random: Math.random,
      log: watchedLog,
      findings: (subject, object) => validateCustomObject(subject.kind, object),
    });
  });
  after(async () => {
    writer.stop();
    kube.close();
    await server.stop();
  });

  const idle = (): Promise<true> =>
    until("the writer", 60_000, () => (writer.pending === 0 ? true : undefined), 10);
  const touch = (name: string): void => {
    writer.touch({ kind: "Retry", namespace: "default", name });
  };

  it("writes what is wrong, then that it is right, with the generation it speaks of", async () => {
    await kube.create(RETRIES, retry("one", "always"));
    touch("one");
    await idle();
    const bad = await kube.get<WithStatus>(`${RETRIES}/one`);
    const accepted = bad.status?.conditions?.[0];
    expect(accepted).to.include({ type: "Accepted", status: "False", reason: "InvalidField" });
    expect(accepted?.message).to.contain('spec.retryPolicy.retryOn has the unknown condition "always"');
    expect(bad.status?.observedGeneration).to.equal(bad.metadata.generation);
    await kube.mergePatch(`${RETRIES}/one`, { spec: { retryPolicy: { retryOn: "5xx" } } });
    touch("one");
    await idle();
    const good = await kube.get<WithStatus>(`${RETRIES}/one`);
    expect(good.status?.conditions?.map(c => `${c.type}=${c.status}`)).to.deep.equal([
      "Accepted=True",
      "ResolvedRefs=True",
      "Conflicted=False",
      "Programmed=Unknown",
    ]);
    expect(good.status?.observedGeneration).to.equal(2);
  });

  it("writes nothing when nothing changed, however often it is asked", async () => {
    const before = await kube.get<KubeObject>(`${RETRIES}/one`);
    const { writes, looks } = writer.counts;
    for (let n = 0; n < 1_000; n += 1) touch("one");
    await idle();
    const after = await kube.get<KubeObject>(`${RETRIES}/one`);
    expect(after.metadata.resourceVersion).to.equal(before.metadata.resourceVersion);
    expect(writer.counts.writes).to.equal(writes);
    expect(writer.counts.looks - looks).to.be.at.most(3);
  });

  it("forgets objects that are gone and kinds that are not the mesh's", async () => {
    touch("never-existed");
    writer.touch({ kind: "Pod", namespace: "default", name: "x" });
    await idle();
    expect(writer.pending).to.equal(0);
  });

  it("gives each of 300 objects its status and holds on through an API server that is away", async () => {
    const names = Array.from({ length: 300 }, (_, n) => `many-${n}`);
    for (const name of names) await kube.create(RETRIES, retry(name, "5xx"));
    for (const name of names.slice(0, 150)) touch(name);
    await server.stopApiServer();
    for (const name of names.slice(150)) touch(name);
    await server.startAgain();
    await idle();
    const list = await kube.get<{ items: WithStatus[] }>(RETRIES);
    const done = list.items.filter(o => o.status?.conditions?.[0]?.status === "True").length;
    expect(done).to.equal(301);
  });

  it("gives every kind of the mesh a status under the version it is read in", async () => {
    for (const { kind, group, version, plural } of API_KINDS) {
      const path = `/apis/${group}/${version}/namespaces/default/${plural}`;
      const sample = SAMPLES[kind];
      await kube.create(path, {
        apiVersion: `${group}/${version}`,
        kind,
        metadata: { name: "sample" },
        ...sample,
      });
      writer.touch({ kind, namespace: "default", name: "sample" });
    }
    await idle();
    for (const { kind, group, version, plural } of API_KINDS) {
      const path = `/apis/${group}/${version}/namespaces/default/${plural}/sample`;
      const { status } = await kube.get<WithStatus>(path);
      expect(
        status?.conditions?.map(c => `${c.type}=${c.status}`),
        kind,
      ).to.deep.equal(["Accepted=True", "ResolvedRefs=True", "Conflicted=False", "Programmed=Unknown"]);
    }
  });

  it("writes events, each sentence once, and drops what is too much", async () => {
    const events = createEventWriter({
      kube,
      clock: systemClock,
      random: Math.random,
      log: watchedLog,
      instance: "watcher-0",
      burst: 5,
      perSecond: 0.001,
    });
    const regarding = {
      group: "",
      kind: "Pod",
      apiVersion: "v1",
      namespace: "default",
      name: "web",
      uid: "u-1",
    };
    const event: MeshEvent = {
      regarding,
      type: "Normal",
      reason: "InjectionSkipped",
      note: "hostNetwork pods are left alone",
    };
    for (let n = 0; n < 50; n += 1) events.emit(event);
    const jwt = "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln";
    for (let n = 0; n < 20; n += 1) events.emit({ ...event, note: `note ${n} ${jwt}` });
    await until("the events", 60_000, () => (events.counts.written === 5 ? true : undefined), 10);
    expect(events.counts).to.deep.equal({ written: 5, repeated: 49, dropped: 16 });
    const list = await kube.get<{ items: { note: string; regarding: { name: string }; reason: string }[] }>(
      "/apis/events.k8s.io/v1/namespaces/default/events",
    );
    const ours = list.items.filter(item => item.regarding.name === "web");
    expect(ours).to.have.length(5);
    expect(ours.filter(item => item.note === event.note)).to.have.length(1);
    expect(JSON.stringify(ours)).not.to.contain(jwt);
  });

  it("cuts a note to what Kubernetes takes, which counts bytes, between two characters", async () => {
    const around = { kube, clock: systemClock, random: Math.random, log: watchedLog };
    const events = createEventWriter({ ...around, instance: "watcher-0" });
    const regarding = { group: "", kind: "Pod", apiVersion: "v1", namespace: "default", name: "long" };
    // Three bytes each: cut at 1,021 bytes, a character is cut in two.
    for (const note of ["€".repeat(500), `a${"€".repeat(500)}`])
      events.emit({ regarding, type: "Normal", reason: "Long", note });
    await until("the events", 60_000, () => {
      const { written, dropped } = events.counts;
      return written + dropped === 2 ? true : undefined;
    });
    expect(events.counts).to.include({ written: 2, dropped: 0 });
    const { items } = await kube.get<{ items: { note: string; reason: string }[] }>(
      "/apis/events.k8s.io/v1/namespaces/default/events",
    );
    const notes = items.filter(({ reason }) => reason === "Long").map(({ note }) => note);
    expect(notes.sort()).to.deep.equal([`a${"€".repeat(340)}…`, `${"€".repeat(340)}…`]);
  });
});

const account = { kind: "ServiceAccount", name: "a", namespace: "default" };

/** A right object of each kind. */
const SAMPLES: Readonly<Record<string, Record<string, unknown>>> = {
  IdentityBinding: { spec: { schemes: { serviceAccount: "a" } } },
  MeshConfig: { metadata: { name: "sample" }, spec: {} },
  MeshRootCertificate: {
    spec: {
      role: "passive",
      provider: { tresor: { ca: { secretRef: { name: "ca", namespace: "default" } } } },
    },
  },
  ExtensionService: { spec: { host: "otel.o11y.svc", port: 4317 } },
  ExternalWorkload: { spec: { serviceAccountName: "a", addresses: ["192.0.2.7"] } },
  Egress: { spec: { sources: [account], hosts: ["example.com"], ports: [{ number: 80, protocol: "http" }] } },
  IngressBackend: {
    spec: {
      backends: [{ name: "web", port: { number: 80, protocol: "http" } }],
      sources: [{ kind: "IPRange", name: "10.0.0.0/8" }],
    },
  },
  Retry: { spec: { source: account, destinations: [], retryPolicy: { retryOn: "5xx" } } },
  UpstreamTrafficSetting: { spec: { host: "web.default.svc.cluster.local" } },
  Telemetry: { spec: { accessLog: { format: "%PROTOCOL%" } } },
  TrafficTarget: {
    spec: { destination: account, sources: [account], rules: [{ kind: "TCPRoute", name: "t", matches: [] }] },
  },
  HTTPRouteGroup: { spec: { matches: [{ name: "all", pathRegex: ".*", methods: ["*"] }] } },
  TCPRoute: { spec: { matches: { ports: [80] } } },
  UDPRoute: { spec: { matches: { ports: [53] } } },
  TrafficSplit: { spec: { service: "web", backends: [{ service: "web-v1", weight: 100 }] } },
};
