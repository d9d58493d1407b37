import { expect } from "chai";
import type { Capability } from "pepr";
import type * as Pepr from "pepr";
import { API_KINDS } from "../../../src/api/kinds";
import type { MeshActions, ObjectName, PodVerdict } from "../../../src/runtime/control-plane/actions";

type Binding = Capability["bindings"][number];

/** What Pepr hands to callbacks is made by Pepr's own classes; only the control plane behind them is recorded here. */
interface Recorder extends MeshActions {
  verdict: PodVerdict;
  readonly reconciled: ObjectName[];
  faults: readonly string[];
  /** The object that the last one judged replaces. */
  before?: unknown;
}

function recorder(): Recorder {
  const reconciled: ObjectName[] = [];
  const self: Recorder = {
    verdict: { kind: "leave" },
    faults: [],
    reconciled,
    admitPod: () => Promise.resolve(self.verdict),
    judge: (_kind, _object, before) => {
      self.before = before;
      return { faults: self.faults, warnings: ["a caveat"] };
    },
    reconcile: object => void reconciled.push(object),
    tick: () => Promise.resolve(),
  };
  return self;
}

const pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "shop" },
  spec: { containers: [] },
};

describe("bindings of Pepr", function () {
  this.timeout(60_000);
  const actions = recorder();
  let bindings: readonly Binding[];
  let pepr: typeof Pepr;

  before(async () => {
    // Pepr decides at import which bindings it registers; in build mode it registers all.
    const before = process.env["PEPR_MODE"];
    process.env["PEPR_MODE"] = "build";
    process.env["LOG_LEVEL"] = "error";
    pepr = await import("pepr");
    const { capabilities } = await import("../../../capabilities/index");
    bindings = capabilities(actions).flatMap(capability => capability.bindings);
    if (before === undefined) delete process.env["PEPR_MODE"];
    else process.env["PEPR_MODE"] = before;
  });

  const request = (object: object, kind: { group: string; version: string; kind: string }): unknown => ({
    uid: "1f0e0f2c-0000-4000-8000-000000000000",
    kind,
    resource: { group: kind.group, version: kind.version, resource: "x" },
    name: "p",
    namespace: "shop",
    operation: "CREATE",
    userInfo: {},
    object,
  });
  const podRequest = (): unknown => request(pod, { group: "", version: "v1", kind: "Pod" });
  const find = (test: (binding: Binding) => boolean): Binding => {
    const found = bindings.find(test);
    if (found === undefined) throw new Error("no such binding");
    return found;
  };
  const mutate = async (verdict: PodVerdict): Promise<unknown> => {
    actions.verdict = verdict;
    const wrapped = new pepr.PeprMutateRequest(podRequest() as never);
    await find(b => b.kind.kind === "Pod" && b.isMutate === true).mutateCallback?.(wrapped);
    return wrapped.Raw;
  };
  const validatePod = async (verdict: PodVerdict) => {
    actions.verdict = verdict;
    const wrapped = new pepr.PeprValidateRequest(podRequest() as never);
    return find(b => b.kind.kind === "Pod" && b.isValidate === true).validateCallback?.(wrapped);
  };

  it("judge and reconcile every custom kind of the mesh", () => {
    for (const { kind, group, version, plural } of API_KINDS) {
      const own = bindings.filter(b => b.kind.kind === kind && b.kind.group === group);
      expect(
        own.some(b => b.isValidate),
        `${kind} is validated`,
      ).to.equal(true);
      expect(
        own.some(b => b.isWatch === true && b.isQueue === true),
        `${kind} is reconciled`,
      ).to.equal(true);
      for (const binding of own) expect(binding.kind).to.include({ version, plural });
    }
  });

  it("never let Pepr watch Kubernetes' own kinds: it caches whole objects and reorders events", () => {
    const own = new Set(API_KINDS.map(row => row.kind));
    for (const binding of bindings.filter(b => b.isWatch)) expect(own.has(binding.kind.kind)).to.equal(true);
  });

  it("assign the injected pod as a whole", async () => {
    const injected = { ...pod, metadata: { ...pod.metadata, labels: { injected: "yes" } } };
    expect(await mutate({ kind: "inject", pod: injected })).to.deep.equal(injected);
  });

  it("leave a pod that is not concerned as it is", async () => {
    expect(await mutate({ kind: "leave" })).to.deep.equal(pod);
  });

  it("mark a pod that cannot be injected, and refuse it with the reason", async () => {
    const marked = (await mutate({ kind: "refuse", reason: "field: why" })) as typeof pod & {
      metadata: { annotations: Record<string, string> };
    };
    expect(marked.metadata.annotations["openservicemesh.io/injection-refused"]).to.equal("field: why");
    const refused = await validatePod({ kind: "refuse", reason: "field: why" });
    expect(refused).to.include({ allowed: false, statusMessage: "field: why" });
    expect(await validatePod({ kind: "leave" })).to.include({ allowed: true });
  });

  it("refuse a pod whose sidecar was lost between mutation and validation", async () => {
    const lost = await validatePod({ kind: "inject", pod });
    expect(lost).to.include({ allowed: false });
  });

  it("refuse a custom object with all its faults, and pass warnings on", async () => {
    const binding = find(b => b.kind.kind === "MeshConfig" && b.isValidate === true);
    const object = {
      apiVersion: "config.openservicemesh.io/v1alpha2",
      kind: "MeshConfig",
      metadata: { name: "m" },
    };
    const wrapped = new pepr.PeprValidateRequest(request(object, binding.kind as never) as never);
    actions.faults = ["one", "two"];
    const refused = await binding.validateCallback?.(wrapped);
    expect(refused).to.include({ allowed: false, statusMessage: "MeshConfig /m: one; two" });
    actions.faults = [];
    const passed = await binding.validateCallback?.(wrapped);
    expect(passed?.allowed).to.equal(true);
    expect(passed?.warnings).to.deep.equal(["a caveat"]);
  });

  it("judge an update beside what it changes, and a creation alone", async () => {
    const binding = find(b => b.kind.kind === "Retry" && b.isValidate === true);
    const object = { metadata: { name: "r", namespace: "shop" } };
    const judge = async (oldObject: object | null): Promise<unknown> => {
      const review = { ...(request(object, binding.kind as never) as object), oldObject };
      await binding.validateCallback?.(new pepr.PeprValidateRequest(review as never));
      return actions.before;
    };
    const old = { metadata: { name: "r", namespace: "shop" }, spec: {} };
    expect(await judge(old)).to.deep.equal(old);
    expect(await judge(null)).to.equal(undefined);
  });

  it("hand a stored object on by name, and return at once", async () => {
    const binding = find(b => b.kind.kind === "TrafficTarget" && b.isWatch === true);
    const object = { metadata: { name: "t", namespace: "shop" }, spec: { large: "payload" } };
    await binding.watchCallback?.(object as never, "ADDED" as never);
    expect(actions.reconciled).to.deep.equal([{ kind: "TrafficTarget", namespace: "shop", name: "t" }]);
  });
});
