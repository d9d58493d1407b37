import { expect } from "chai";
import { PassThrough } from "node:stream";
import { addNumbers, numberOf } from "../../../hack/demo/counters";
import {
  applicationManifests,
  asList,
  MESHED,
  namespaceManifests,
  OUTSIDE,
} from "../../../hack/demo/manifests";
import { foreign } from "../../../hack/demo/namespaces";
import { parseOptions } from "../../../hack/demo/options";
import { hasSidecar, isReady, wronglyInjected, type DemoPod } from "../../../hack/demo/pods";
import { Screen } from "../../../hack/demo/screen";
import { tableLine, tableLines } from "../../../hack/demo/table";
import { rise } from "../../../hack/demo/watch";

interface Object_ {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
  readonly spec: Record<string, unknown>;
}

function objects(kind: string): Object_[] {
  const list = JSON.parse(asList([...namespaceManifests(), ...applicationManifests()])) as {
    items: Object_[];
  };
  return list.items.filter(item => item.kind === kind);
}

describe("the demo's manifests", () => {
  it("mark the meshed namespaces for injection, and the other one not", () => {
    for (const { metadata } of objects("Namespace")) {
      const meshed = MESHED.some(name => name === metadata.name);
      expect(metadata.labels?.["openservicemesh.io/demo"], metadata.name).to.equal("bookstore");
      expect(metadata.labels?.["openservicemesh.io/monitored-by"], metadata.name).to.equal(
        meshed ? "osm" : undefined,
      );
      expect(metadata.annotations?.["openservicemesh.io/sidecar-injection"]).to.equal(
        meshed ? "enabled" : undefined,
      );
    }
    expect(objects("Namespace").map(each => each.metadata.name)).to.eql([...MESHED, OUTSIDE]);
  });

  it("give each program a ServiceAccount of its own name, with bookstore-v2 ready but without a pod", () => {
    const accounts = objects("ServiceAccount").map(
      each => `${each.metadata.namespace ?? ""}/${each.metadata.name}`,
    );
    expect(accounts).to.have.members([
      "bookbuyer/bookbuyer",
      "bookthief/bookthief",
      "bookstore/bookstore-v1",
      "bookstore/bookstore-v2",
      "bookwarehouse/bookwarehouse",
      "bookwarehouse/mysql",
      "bookpublisher/bookpublisher",
    ]);
    const replicas = objects("Deployment").map(each => [each.metadata.name, each.spec["replicas"]]);
    expect(Object.fromEntries(replicas)).to.include({ "bookstore-v1": 1, "bookstore-v2": 0 });
  });

  it("let the Service bookstore select both versions, and find the database headless and server-first", () => {
    const service = (name: string): Object_ | undefined =>
      objects("Service").find(each => each.metadata.name === name);
    expect(service("bookstore")?.spec["selector"]).to.eql({ app: "bookstore" });
    expect(service("bookstore-v2")?.spec["selector"]).to.eql({ app: "bookstore", version: "v2" });
    expect(service("mysql")?.spec).to.deep.include({ clusterIP: "None" });
    expect(service("mysql")?.spec["ports"]).to.deep.include({
      name: "mysql",
      port: 3306,
      appProtocol: "tcp-server-first",
    });
  });
});

describe("namespaces of somebody else", () => {
  it("are those with a name of the demo and without its label", () => {
    const named = (name: string, demo?: string) => ({
      metadata: { name, labels: demo === undefined ? {} : { "openservicemesh.io/demo": demo } },
    });
    const items = [
      named("bookstore"),
      named("bookbuyer", "bookstore"),
      named("bookthief", "other"),
      named("default"),
    ];
    expect(foreign({ items })).to.eql(["bookstore", "bookthief"]);
  });
});

describe("the demo's options", () => {
  it("have defaults that need no answer", () => {
    const { keep, down, yes, duration } = parseOptions([]);
    expect({ keep, down, yes, duration }).to.eql({ keep: false, down: false, yes: false, duration: 30 });
    expect(parseOptions(["--duration", "5", "--keep"])).to.include({ duration: 5, keep: true });
  });
  it("refuse what they do not know", () => {
    for (const args of [["--nonsense"], ["--duration", "soon"], ["--duration", "-1"], ["word"]]) {
      expect(() => parseOptions(args), args.join(" ")).to.throw();
    }
  });
});

function pod(namespace: string, containers: readonly string[], init: readonly string[] = []): DemoPod {
  return {
    metadata: { name: "p", namespace, uid: "u" },
    spec: {
      serviceAccountName: namespace,
      containers: containers.map(name => ({ name })),
      initContainers: init.map(name => ({ name, restartPolicy: "Always" })),
    },
    status: { phase: "Running", podIP: "10.0.0.1", conditions: [{ type: "Ready", status: "True" }] },
  };
}

describe("pods of the demo", () => {
  it("have their sidecar in either layout", () => {
    expect(hasSidecar(pod("bookbuyer", ["bookbuyer"], ["osm-init", "envoy"]))).to.equal(true);
    expect(hasSidecar(pod("bookbuyer", ["bookbuyer", "envoy"], ["osm-init"]))).to.equal(true);
    expect(hasSidecar(pod("bookbuyer", ["bookbuyer"]))).to.equal(false);
  });
  it("are named when the sidecar is missing, or there where it should not be", () => {
    const good = [pod("bookbuyer", ["b", "envoy"]), pod(OUTSIDE, ["b"])];
    expect(wronglyInjected(good)).to.eql([]);
    expect(wronglyInjected([pod("bookbuyer", ["b"]), pod(OUTSIDE, ["b", "envoy"])])).to.eql([
      "bookbuyer/p",
      `${OUTSIDE}/p`,
    ]);
  });
  it("are not ready while they go", () => {
    const given = pod("bookbuyer", ["b"]);
    expect(isReady(given)).to.equal(true);
    expect(
      isReady({ ...given, metadata: { ...given.metadata, deletionTimestamp: "2030-01-01T00:00:00Z" } }),
    ).to.equal(false);
  });
});

const reading = {
  bookbuyer: {
    booksBought: 5,
    booksBoughtV1: 3,
    booksBoughtV2: 2,
    failed: 0,
    outsideAnswered: 4,
    outsideRefused: 1,
  },
  bookwarehouse: { booksRestocked: 9, failures: 0 },
};

describe("counters", () => {
  it("add up over pods, numbers only", () => {
    const sum = addNumbers(addNumbers({}, { identity: "bookstore-v1", booksSold: 2 }), { booksSold: 3 });
    expect(sum).to.eql({ booksSold: 5 });
    expect(addNumbers({ a: 1 }, null)).to.eql({ a: 1 });
    expect(numberOf({}, "bookbuyer", "booksBought")).to.equal(0);
  });
  it("rise from what was there before", () => {
    const after = { ...reading, bookbuyer: { ...reading.bookbuyer, booksBought: 8 } };
    expect(rise(reading, after, { program: "bookbuyer", name: "booksBought" })).to.equal(3);
  });
  it("stand in a table with a dash for who does not answer", () => {
    const lines = tableLines(reading);
    expect(lines).to.have.length(7);
    expect(lines[1]).to.match(/^bookbuyer +books bought +3 +2 +5 +0$/);
    expect(lines[2]).to.match(/^bookthief +books stolen +– +– +– +–$/);
    expect(tableLine(reading)).to.include("bought 5 (v1 3, v2 2)").and.to.include("4 answered, 1 refused");
  });
});

describe("the screen", () => {
  function screen(isTerminal: boolean): { screen: Screen; text: () => string; tick: (ms: number) => void } {
    const out = new PassThrough();
    let now = 0;
    return {
      screen: new Screen({ out, isTerminal, now: () => now }),
      text: () => String(out.read() ?? ""),
      tick: ms => {
        now += ms;
      },
    };
  }

  it("writes plain lines, at most one every five seconds, where it is no terminal", () => {
    const plain = screen(false);
    for (let second = 0; second < 11; second += 1) {
      plain.screen.show(reading);
      plain.tick(1000);
    }
    const text = plain.text();
    expect(text.split("\n").filter(line => line.includes("bought 5"))).to.have.length(3);
    expect(text).not.to.include("\u001b");
  });

  it("redraws the table below the lines that stay on a terminal", () => {
    const terminal = screen(true);
    terminal.screen.show(reading);
    terminal.screen.line("a step");
    const text = terminal.text();
    expect(text).to.include("\u001b[7A\u001b[0Ja step\n  program");
    terminal.screen.release();
    terminal.screen.line("the end");
    expect(terminal.text()).to.equal("the end\n");
  });
});
