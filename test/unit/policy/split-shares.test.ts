import { expect } from "chai";
import type { Standing } from "../../../src/catalog/endpoints";
import type { TrafficSplit } from "../../../src/model/traffic";
import type { MeshService } from "../../../src/model/workload";
import { readSplits, sharesOf, type ActiveSplit, type SplitFacts } from "../../../src/policy/split";
import type { HttpMatch } from "../../../src/policy/types";

const ref = (kind: string, name: string) => ({ group: "split.smi-spec.io", kind, namespace: "shop", name });
const match = (value: string): HttpMatch => ({ path: { kind: "exact", value }, methods: [], headers: [] });
const HTTP = { name: "http", port: 80, targetPort: 8080, transport: "TCP", appProtocol: undefined } as const;
const TCP = { name: "tcp", port: 81, targetPort: 8081, transport: "TCP", appProtocol: undefined } as const;
const service = (
  name: string,
  ports: MeshService["ports"],
  more: Partial<MeshService> = {},
): MeshService => ({
  namespace: "shop",
  name,
  kind: "clusterIP",
  addresses: [],
  selector: {},
  ports,
  ...more,
});
const served: Standing = { served: true, identities: [] };
const services: Readonly<Record<string, MeshService>> = {
  "shop/root": service("root", [HTTP, TCP]),
  "shop/v1": service("v1", [HTTP, TCP]),
  "shop/v2": service("v2", [HTTP]),
  "shop/bytes": service("bytes", [TCP]),
  "shop/peers": service("peers", [HTTP], { kind: "headless" }),
  "shop/outside": service("outside", [HTTP]),
  "shop/plain": service("plain", [HTTP]),
};
const standings: Readonly<Record<string, Standing>> = {
  "shop/root": served,
  "shop/v1": { ...served, excluded: ["tcp"] },
  "shop/v2": served,
  "shop/bytes": served,
  "shop/peers": served,
  "shop/plain": { ...served, served: false },
};
const facts: SplitFacts = {
  service: key => services[key],
  standing: key => standings[key],
  group: key => {
    const [, name = ""] = key.split("/");
    return name.startsWith("g")
      ? { ref: ref("HTTPRouteGroup", name), matches: [{ name, match: match(`/${name}`) }] }
      : undefined;
  },
};
const split = (
  name: string,
  shares: Readonly<Record<string, number>>,
  ...matches: readonly string[]
): TrafficSplit => ({
  ref: ref("TrafficSplit", name),
  createdAt: 0,
  root: "shop/root",
  backends: Object.entries(shares).map(([key, weight]) => ({ service: `shop/${key}`, weight })),
  matches: matches.map(each => `shop/${each}`),
});
const read = (root: string, ...splits: readonly TrafficSplit[]) => readSplits(`shop/${root}`, splits, facts);
const told = (root: string, ...splits: readonly TrafficSplit[]): readonly string[] =>
  read(root, ...splits).diagnostics.map(
    ({ severity, code, subject, field, message }) =>
      `${severity} ${code} ${subject.name} ${field ?? ""}: ${message}`,
  );

describe("splits that are read", () => {
  it("are those of the root with what they refer to", () => {
    expect(read("root", split("a", { v2: 3 }, "g1", "g2"))).to.deep.equal({
      value: [
        {
          ref: ref("TrafficSplit", "a"),
          matches: [match("/g1"), match("/g2")],
          backends: [{ service: "shop/v2", weight: 3, ports: [80] }],
          origins: [ref("TrafficSplit", "a"), ref("HTTPRouteGroup", "g1"), ref("HTTPRouteGroup", "g2")],
        },
      ],
      diagnostics: [],
    });
    expect(read("none")).to.deep.equal({ value: [], diagnostics: [] });
  });

  it("of some requests come before the one of all", () => {
    const names = (...splits: readonly TrafficSplit[]) =>
      read("root", ...splits).value.map(({ ref: of }) => of.name);
    expect(
      names(split("all", { v2: 1 }), split("some", { v2: 1 }, "g1"), split("more", { v2: 1 }, "g2")),
    ).to.deep.equal(["some", "more", "all"]);
  });

  it("are none of a root that cannot be split", () => {
    const one = split("a", { v2: 1 });
    for (const root of ["none", "peers", "outside", "plain"])
      expect(read(root, one).value, root).to.deep.equal([]);
    expect(told("none", one)).to.deep.equal([
      "error UnresolvedReference a spec.service: there is no Service shop/none",
    ]);
    expect(told("peers", one, split("b", { v2: 1 }))).to.deep.equal(
      ["a", "b"].map(
        name =>
          `error NoEffect ${name} spec.service: Service shop/peers has no address of its own (headless): its clients choose a pod, so nothing can be split`,
      ),
    );
    for (const root of ["outside", "plain"])
      expect(told(root, one)).to.deep.equal([
        `error NoEffect a spec.service: calls of Service shop/${root} do not go through the mesh, so nothing is split`,
      ]);
  });

  it("are nothing of all requests where the groups that they name are gone", () => {
    const gone = split("a", { v2: 1 }, "none");
    expect(read("root", gone).value).to.deep.equal([]);
    expect(told("root", gone)).to.deep.equal([
      "error UnresolvedReference a spec.matches: there is no HTTPRouteGroup shop/none; no request is taken for it",
    ]);
    expect(
      read("root", split("a", { v2: 1 }, "none", "g1")).value.map(({ matches }) => matches),
    ).to.deep.equal([[match("/g1")]]);
  });

  it("send nothing to what is no backend, and say why", () => {
    const { value } = read("root", split("a", { v1: 1, none: 1, peers: 1, outside: 1, plain: 1 }));
    expect(value[0]?.backends.map(({ service: key, ports }) => [key, ports])).to.deep.equal([
      ["shop/v1", [80]],
      ["shop/none", undefined],
      ["shop/peers", undefined],
      ["shop/outside", undefined],
      ["shop/plain", undefined],
    ]);
    const why = (index: number, words: string) =>
      `error UnresolvedReference a spec.backends[${index}].service: ${words}; its share of the requests is answered 500`;
    expect(
      told("root", split("a", { v1: 1, none: 1, peers: 1, outside: 1, plain: 1 })).filter(line =>
        line.includes("500"),
      ),
    ).to.deep.equal([
      why(1, "there is no Service shop/none"),
      why(2, "Service shop/peers has no cluster address"),
      why(3, "Service shop/outside is not served by pods of the mesh"),
      why(4, "Service shop/plain is not served by pods of the mesh"),
    ]);
  });
});

describe("splits of the same requests", () => {
  it("count by age, each for what no older one has taken", () => {
    const { value, diagnostics } = read(
      "root",
      split("old", { v2: 1 }, "g1", "g2"),
      split("young", { v2: 1 }, "g2", "g3", "g1"),
    );
    expect(value.map(({ ref: of, matches }) => [of.name, matches?.map(({ path }) => path)])).to.deep.equal([
      ["old", [match("/g1").path, match("/g2").path]],
      ["young", [match("/g3").path]],
    ]);
    expect(diagnostics.map(({ message }) => message)).to.deep.equal([
      "TrafficSplit old is older and splits the same requests (shop/g2, shop/g1); it decides about those",
    ]);
    expect(diagnostics[0]).to.deep.include({
      severity: "warning",
      code: "Conflicted",
      subject: ref("TrafficSplit", "young"),
      field: "spec.matches",
    });
  });

  it("have no effect where nothing is left", () => {
    expect(told("root", split("old", { v2: 1 }, "g1"), split("young", { v2: 1 }, "g1"))).to.deep.equal([
      "error Conflicted young spec.matches: TrafficSplit old is older and splits the same requests (shop/g1); this one has no effect",
    ]);
    expect(told("root", split("old", { v2: 1 }), split("young", { v2: 1 }))).to.deep.equal([
      "error Conflicted young spec.service: TrafficSplit old is older and splits the same Service; this one has no effect",
    ]);
    expect(read("root", split("old", { v2: 1 }), split("young", { v2: 1 })).value).to.have.length(1);
  });

  it("lose to whoever has taken it first", () => {
    const three = [
      split("a", { v2: 1 }, "g1"),
      split("b", { v2: 1 }, "g2", "g1"),
      split("c", { v2: 1 }, "g1"),
    ];
    expect(
      read("root", ...three).diagnostics.map(({ message }) => message.split(" is older")[0]),
    ).to.deep.equal(["TrafficSplit a", "TrafficSplit a"]);
  });
});

describe("ports of a split", () => {
  it("are told where a backend has not what others have", () => {
    const words = (name: string, ports: string) =>
      `Service shop/${name} has no port ${ports} as Service shop/root has; it gets nothing of what is sent there`;
    expect(told("root", split("a", { v2: 1, bytes: 1 }))).to.deep.equal([
      `warning UnresolvedReference a spec.backends[0].service: ${words("v2", "81")}`,
      `warning UnresolvedReference a spec.backends[1].service: ${words("bytes", "80")}`,
    ]);
    // Of a port that no backend has, the split does not speak.
    expect(told("root", split("a", { v2: 1 }))).to.deep.equal([]);
    expect(told("bytes", split("a", { v2: 1 }))).to.deep.equal([
      "error UnresolvedReference a spec.backends[0].service: Service shop/v2 has no port 81 as Service shop/bytes has; it gets nothing of what is sent there",
    ]);
  });

  it("of bytes cannot be told apart by requests", () => {
    expect(told("bytes", split("a", { root: 1 }, "g1"))).to.deep.equal([
      "warning NoEffect a spec.matches: Service shop/bytes has no HTTP port; bytes cannot be told apart by matches",
    ]);
    expect(told("bytes", split("a", { root: 1 }))).to.deep.equal([]);
    expect(told("root", split("a", { root: 1 }, "g1"))).to.deep.equal([]);
  });

  const active = (...backends: ActiveSplit["backends"]): ActiveSplit => ({
    ref: ref("TrafficSplit", "a"),
    matches: undefined,
    backends,
    origins: [],
  });
  const v1 = { service: "shop/v1", weight: 1, ports: [80, 81] };
  const v2 = { service: "shop/v2", weight: 2, ports: [80] };
  const gone = { service: "shop/gone", weight: 3, ports: undefined };
  const unresolved = { cluster: "unresolved|shop/gone|80", weight: 3, unresolved: true } as const;

  it("are shared by those backends that have them, and by what is not there", () => {
    expect(sharesOf(active(v1, v2, gone), 80)).to.deep.equal([
      { cluster: "outbound|shop/v1|80", weight: 1 },
      { cluster: "outbound|shop/v2|80", weight: 2 },
      unresolved,
    ]);
    expect(sharesOf(active(v1, v2), 81)).to.deep.equal([{ cluster: "outbound|shop/v1|81", weight: 1 }]);
  });

  it("are left to the root where no backend has them, unless none of them is there at all", () => {
    expect(sharesOf(active(v1, v2), 82)).to.equal(undefined);
    expect(sharesOf(active(v2, gone), 81)).to.equal(undefined);
    expect(sharesOf(active(gone), 80)).to.deep.equal([unresolved]);
    expect(sharesOf(active(), 80)).to.deep.equal([]);
  });
});
