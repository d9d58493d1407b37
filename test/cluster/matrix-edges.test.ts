import { spawn } from "node:child_process";
import * as grpc from "@grpc/grpc-js";
import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { ANNOTATION_INJECTION } from "../../src/model/mesh-words";
import type { Echo } from "../support/pod-operations";
import { fetchText } from "./support/client-pod";
import { CONTROL_PORT, serviceAccount } from "./support/manifests";
import type { AwkwardAnswer, AwkwardCall, BulkCall } from "./support/matrix-bulk";
import {
  expectNothing,
  http1,
  type MatrixCase,
  runMatrix,
  settles,
  type Target,
  tcpEcho,
  tcpGreeting,
} from "./support/matrix-cases";
import {
  appAt,
  type MatrixApp,
  matrixPod,
  matrixService,
  metricBy,
  type PortRow,
  shipApplication,
} from "./support/matrix-pods";
import { PORTS } from "./support/matrix-words";
import { FULL, Mesh, report } from "./support/mesh";
import { hasSidecar, TestNamespace } from "./support/namespace";

const ROWS: readonly PortRow[] = [
  ["http-shop", 80, PORTS.http],
  ["http-awkward", 81, PORTS.awkward],
  ["http2-echo", 82, PORTS.echo2],
  ["tcp-shop", 84, PORTS.tcp],
  ["tcp-server-first-shop", 85, PORTS.greeting],
  ["tcp-echo", 86, PORTS.echo],
  ["udp-echo", 86, PORTS.echo],
  ["grpc-shop", 87, PORTS.grpc],
];
/** Nothing listens there. */
const DEAF: readonly PortRow[] = [
  ["http-deaf", 80, 9],
  ["tcp-deaf", 84, 9],
  ["grpc-deaf", 87, 9],
];
/** An edit with its name, and the call that works after it. */
type Step = readonly [string, () => Promise<void>, () => Promise<void>];

const BULK_BYTES = (FULL ? 64 : 8) * 1024 * 1024;
/** Longer than Envoy's own limit of 15 s for an answer. */
const SILENCE_MS = FULL ? 310_000 : 17_000;
const H2C_OFFER = {
  connection: "Upgrade, HTTP2-Settings",
  upgrade: "h2c",
  "http2-settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
};
const MANY_HEADERS = Object.fromEntries(Array.from({ length: 70 }, (_, n) => [`x_with_${n}`, `value ${n}`]));
const IDS = {
  "x-request-id": "0f0e8e2e-6b0c-4b5e-9a53-0d2f4f3a9d11",
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
  "x-b3-traceid": "80f198ee56343ba864fe8b2a57d3eff7",
};
/** Of a headless Service: so its pods can be called by their own addresses. */
const UNREADY: readonly PortRow[] = [
  ["http-web", PORTS.http, PORTS.http],
  ["tcp-web", PORTS.tcp, PORTS.tcp],
];
const OUT = { [ANNOTATION_INJECTION]: "disabled" };

describe("edges of permissive mode on the real cluster", function () {
  this.timeout(FULL ? 900_000 : 300_000);
  let mesh: Mesh;
  let shop: TestNamespace;
  let client: MatrixApp;
  let caller: string;
  let silence: Promise<readonly (readonly [string, string])[]>;

  before(async () => {
    mesh = await Mesh.open();
    shop = await TestNamespace.create(mesh, "edges", true);
    caller = `ns/${shop.name}/sa/buyer`;
    await shipApplication(shop);
    const headless = { clusterIP: "None", publishNotReadyAddresses: true };
    await shop.apply(
      serviceAccount("buyer"),
      matrixService("shop", "server", ROWS),
      matrixService("deaf", "server", DEAF),
      matrixService("empty", "nobody", ROWS),
      matrixService("excluded", "server", [["http-control", 80, CONTROL_PORT]]),
      matrixService("node", "server", [["http-shop", 80, PORTS.http]], { type: "NodePort" }),
      matrixService("mixed-shop", "mixed", [["http-shop", 80, "web"]]),
      matrixService("half", "half", ROWS),
      matrixService("out", "half", ROWS, { selector: { role: "out" } }),
      matrixService("unready-web", "unready", UNREADY, headless),
      matrixPod("client", { serviceAccount: "buyer" }),
      matrixPod("server"),
      matrixPod("mixed-a", { app: "mixed" }),
      matrixPod("mixed-b", { app: "mixed", web: PORTS.disputed }),
      matrixPod("half-in", { app: "half" }),
      matrixPod("half-out", { app: "half", labels: { role: "out" }, annotations: OUT }),
      matrixPod("unready", { neverReady: true }),
    );
    const ready = ["client", "server", "mixed-a", "mixed-b", "half-in", "half-out"].map(pod => `pod/${pod}`);
    await shop.kubectl(["wait", "--for=condition=Ready", "--timeout=200s", ...ready]);
    client = appAt((await shop.readyPod("client")).status.podIP);
    // Nothing of what is going to be silent is asked for twice.
    await settles("the Service, HTTP", http1(client, to("shop", 80)));
    await settles("the Service, odd answers", async () => {
      expect((await client.awkward({ host: "shop", port: 81, path: "/which" })).body).to.equal("/which");
    });
    await settles("the Service, TCP", async () => {
      const { received } = await client.callTcp({ host: "shop", port: 86, send: "hello", until: "hello" });
      expect(received).to.equal("hello");
    });
    silence = staySilent();
    // Looked at by the last test; a failure is not to end the process before.
    silence.catch(() => undefined);
  });

  after(async () => {
    await TestNamespace.removeAll();
  });

  const to = (host: string, port: number, pod = "server"): Target => ({ host, port, pod, caller });
  const addressOf = async (pod: string): Promise<string> =>
    shop.kubectl(["get", "pod", pod, "-o", "jsonpath={.status.podIP}"]);

  /** Connections of every kind over which nothing goes for longer than proxies usually wait; the body or word that came at last. */
  async function staySilent(): Promise<readonly (readonly [string, string])[]> {
    const ms = SILENCE_MS;
    const path = `/slow?${ms}`;
    const late = client.awkward({ host: "shop", port: 81, path }).then(answer => answer.body);
    const raw = client.silentTcp({ host: "shop", port: 86, ms });
    const web = client.silentWebSocket({ host: "shop", port: 80, ms });
    const began = Date.now();
    const failed = (error: unknown): string => `${String(error)} after ${Date.now() - began} ms`;
    const settled = await Promise.all([late, raw, web].map(each => each.catch(failed)));
    return ["HTTP answer", "TCP", "WebSocket"].map((kind, i) => [kind, settled[i] ?? ""] as const);
  }

  it("carries bulk both ways, and connections of which one half has ended", async () => {
    const whole =
      (call: (to: BulkCall) => ReturnType<MatrixApp["bulkTcp"]>, port: number) => async (): Promise<void> => {
        const answer = await call({ host: "shop", port, bytes: BULK_BYTES });
        expect(answer.received).to.equal(BULK_BYTES);
        expect(answer.whole).to.equal(true);
        expect(answer.status ?? 200).to.equal(200);
      };
    await runMatrix(`${BULK_BYTES / 1024 / 1024} MiB there and back`, [
      {
        name: "TCP, read after the client has ended its half",
        call: whole(call => client.bulkTcp(call), 86),
      },
      { name: "HTTP/1.1, chunked", call: whole(call => client.bulkHttp(call), 81) },
      { name: "HTTP/2", call: whole(call => client.bulkHttp2(call), 82) },
    ]);
  });

  /** A request to the server with unusual answers. */
  function awkward(call: Partial<AwkwardCall>, judge: (answer: AwkwardAnswer) => void): () => Promise<void> {
    return async () => {
      judge(await client.awkward({ host: "shop", port: 81, path: "/", ...call }));
    };
  }

  it("keeps what HTTP servers and clients rely on", async () => {
    const path = `/long?${"x".repeat(12_000)}`;
    await runMatrix("HTTP/1.1", [
      {
        name: "several cookies",
        call: awkward({ path: "/cookies" }, ({ headers }) => {
          expect(headers["set-cookie"]).to.deep.equal(["a=1", "b=2"]);
          expect(headers["x-mixed-case"]).to.equal("Kept As It Is");
        }),
      },
      {
        name: "answer that ends with the connection",
        call: awkward({ path: "/until-close" }, ({ status, body }) => {
          expect({ status, body }).to.deep.equal({ status: 200, body: "until the connection ends" });
        }),
      },
      {
        name: "answer without a body",
        call: awkward({ path: "/nothing" }, ({ status, body }) => {
          expect({ status, body }).to.deep.equal({ status: 204, body: "" });
        }),
      },
      {
        name: "HEAD",
        call: awkward({ method: "HEAD", path: "/" }, ({ status, body }) => {
          expect({ status, body }).to.deep.equal({ status: 200, body: "" });
        }),
      },
      {
        name: "Expect: 100-continue",
        call: awkward({ method: "POST", headers: { expect: "100-continue" }, body: "go on" }, answer => {
          expect(answer.continued, "told to go on").to.equal(true);
          expect(answer.body).to.equal("go on");
        }),
      },
      {
        name: "long query, unchanged",
        call: awkward({ path }, ({ status, body }) => {
          expect(status).to.equal(200);
          expect(body === path, "the query").to.equal(true);
        }),
      },
      {
        name: "encoded characters, unchanged",
        call: awkward({ path: "/a%20b/%C3%BC?q=%2F&r=a+b" }, ({ body }) => {
          expect(body).to.equal("/a%20b/%C3%BC?q=%2F&r=a+b");
        }),
      },
      { name: "answer cut short by the server is an error", call: expectCutShort },
      { name: "offer of HTTP/2 by upgrade, as Java makes it", call: keeps(H2C_OFFER, {}) },
      { name: "header names with underscores, many headers", call: keeps(MANY_HEADERS, MANY_HEADERS) },
      { name: "ids of requests and traces", call: keeps(IDS, IDS) },
      {
        name: "status of a gRPC method that is not there",
        call: grpcEnds("shop", grpc.status.UNIMPLEMENTED, "/a.B/C"),
      },
      { name: "UDP beside TCP on one port number", call: expectUdp },
      { name: "the API server, over TLS", call: expectApiServer },
    ]);
  });

  /** The application gets these headers of a request that has those. */
  function keeps(
    sent: Readonly<Record<string, string>>,
    seen: Readonly<Record<string, string>>,
  ): () => Promise<void> {
    return async () => {
      const answer = await client.callHttp({ host: "shop", port: 80, headers: sent });
      expect(answer.status).to.equal(200);
      expect((JSON.parse(answer.body) as Echo).headers).to.include(seen);
    };
  }

  async function expectUdp(): Promise<void> {
    expect(await client.askUdp("shop", 86)).to.equal("datagram");
  }

  async function expectApiServer(): Promise<void> {
    expect(await client.httpsStatus("https://kubernetes.default.svc/livez")).to.be.oneOf([200, 401, 403]);
  }

  async function expectCutShort(): Promise<void> {
    const call = { host: "shop", port: 81, path: "/cut-short" };
    const outcome = await client.awkward(call).then(
      answer => `answered ${answer.status} ${answer.body}`,
      () => "error",
    );
    expect(outcome).to.equal("error");
  }

  const grpcEnds =
    (host: string, status: grpc.status, method = "/test.Echo/Say") =>
    async (): Promise<void> => {
      expect(await client.grpcStatus(`${host}:87`, method)).to.equal(status);
    };

  it("answers at once where nobody listens", async () => {
    const unavailable = (host: string) => async (): Promise<void> => {
      expect((await client.callHttp({ host, port: 80 })).status).to.equal(503);
    };
    const closed = (host: string) => async (): Promise<void> => {
      const { received, outcome } = await client.callTcp({ host, port: 84, send: "hello" });
      expect({ received, outcome }).to.deep.equal({ received: "", outcome: "closed" });
    };
    await runMatrix("nobody", [
      { name: "target port closed, HTTP", call: unavailable("deaf") },
      { name: "target port closed, TCP", call: closed("deaf") },
      { name: "target port closed, gRPC", call: grpcEnds("deaf", grpc.status.UNAVAILABLE) },
      { name: "Service without pods, HTTP", call: unavailable("empty") },
      { name: "Service without pods, TCP", call: closed("empty") },
    ]);
  });

  it("finds named target ports that differ from pod to pod", async () => {
    const pods = new Set<string>();
    await until("an answer of each", 30_000, async () => {
      const answer = await client.callHttp({ host: "mixed-shop", port: 80 });
      if (answer.status === 200) pods.add((JSON.parse(answer.body) as Echo).pod);
      return pods.size === 2 ? true : undefined;
    });
    const again: MatrixCase = { name: "HTTP/1.1", call: http1(client, to("mixed-shop", 80, "mixed-")) };
    await runMatrix("mixed named ports", [again, again, again]);
  });

  it("reaches pods that are not ready where Kubernetes does", async () => {
    const address = await until("its address", 60_000, async () => (await addressOf("unready")) || undefined);
    await runMatrix("not ready", [
      {
        name: "headless, publishNotReadyAddresses",
        call: http1(client, to("unready-web", PORTS.http, "unready")),
      },
      { name: "pod address, HTTP/1.1", call: http1(client, to(address, PORTS.http, "unready")) },
      { name: "pod address, TCP", call: tcpEcho(client, to(address, PORTS.tcp, "unready")) },
    ]);
  });

  it("leaves pods alone that opted out, and keeps calls off them where others have a sidecar", async () => {
    const [out, server] = await Promise.all([addressOf("half-out"), addressOf("server")]);
    expect((await shop.pods("half")).map(hasSidecar).sort()).to.deep.equal([false, true]);
    const plain = (host: string, port: number): Target => ({
      host,
      port,
      pod: "half-out",
      caller: undefined,
    });
    await runMatrix("opted out", [
      { name: "its own Service, HTTP/1.1", call: http1(client, plain("out", 80)) },
      { name: "its own Service, TCP", call: tcpEcho(client, plain("out", 84)) },
      { name: "its own Service, TCP, server first", call: tcpGreeting(client, plain("out", 85)) },
      { name: "its address, HTTP/1.1", call: http1(client, plain(out, PORTS.http)) },
      ...[1, 2, 3].map(n => ({
        name: `Service of both, HTTP/1.1 (${n})`,
        call: http1(client, to("half", 80, "half-in")),
      })),
      { name: "Service of both, TCP", call: tcpEcho(client, to("half", 84, "half-in")) },
    ]);
    const { http, tcp } = PORTS;
    await expectNothing(appAt(out), server, { http, tcp });
  });

  it("has the limits that are written down in docs/reference/traffic.md", async () => {
    const nodePort = await shop.kubectl([
      "get",
      "service",
      "node",
      "-o",
      "jsonpath={.spec.ports[0].nodePort}",
    ]);
    const node = await shop.kubectl(["get", "pod", "server", "-o", "jsonpath={.status.hostIP}"]);
    const headers = Object.fromEntries(Array.from({ length: 110 }, (_, n) => [`x-${n}`, "v"]));
    await runMatrix("limits", [
      {
        name: "several slashes become one",
        call: awkward({ path: "//a///b?c=//" }, ({ body }) => {
          expect(body).to.equal("/a/b?c=//");
        }),
      },
      {
        name: "an encoded slash in the path: 400",
        call: awkward({ path: "/a%2Fb" }, ({ status }) => {
          expect(status).to.equal(400);
        }),
      },
      {
        name: "more than 100 headers: 431",
        call: awkward({ headers }, ({ status }) => {
          expect(status).to.equal(431);
        }),
      },
      {
        name: "a port that the server's sidecar leaves alone, by its Service: as it is",
        call: async () => {
          const { status, body } = await client.callHttp({ host: "excluded", port: 80 });
          expect({ status, body }).to.deep.equal({ status: 200, body: "{}" });
        },
      },
      {
        name: "a node port: refused",
        call: async () => {
          const call = { host: node, port: Number(nodePort), send: "GET / HTTP/1.0\r\n\r\n" };
          expect(await client.callTcp(call)).to.deep.equal({ received: "", outcome: "closed" });
        },
      },
    ]);
  });

  it("lets an operator in by port-forward, which is the kubelet's way", async () => {
    const args = mesh.kubectl.arguments(["-n", shop.name, "port-forward", "pod/server", `:${PORTS.http}`]);
    const child = spawn(mesh.kubectl.program, args, { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => (said += part));
    try {
      const port = await until("its port", 30_000, () => /127\.0\.0\.1:(\d+)/.exec(said)?.[1]);
      expect((JSON.parse(await fetchText(`http://127.0.0.1:${port}/`)) as Echo).pod).to.equal("server");
    } finally {
      child.kill();
    }
  });

  it("follows a Service as it is edited", async () => {
    const services = `/api/v1/namespaces/${shop.name}/services`;
    await mesh.api.create(services, matrixService("live", "server", [["p", 80, PORTS.http, "http"]]));
    const live = async (...ports: readonly PortRow[]): Promise<void> => {
      await mesh.api.mergePatch(`${services}/live`, matrixService("live", "server", ports));
    };
    const madeAgain: Step = [
      "made again as headless, and back",
      async () => {
        for (const more of [{ clusterIP: "None" }, {}]) {
          await shop.kubectl(["delete", "service", "live"]);
          const port: PortRow = ["p", PORTS.http, PORTS.http, "http"];
          await mesh.api.create(services, matrixService("live", "server", [port], more));
          await until("the new kind", 60_000, () => http1(client, to("live", PORTS.http))().then(() => true));
        }
      },
      http1(client, to("live", PORTS.http)),
    ];
    const steps: readonly Step[] = [
      ["a new Service", () => live(["p", 80, PORTS.http, "http"]), http1(client, to("live", 80))],
      [
        "another target port",
        () => live(["p", 80, PORTS.awkward, "http"]),
        async () => {
          const { body } = await client.awkward({ host: "live", port: 80, path: "/which" });
          expect(body).to.equal("/which");
        },
      ],
      ["another protocol", () => live(["p", 80, PORTS.tcp, "tcp"]), tcpEcho(client, to("live", 80))],
      ["the first again", () => live(["p", 80, PORTS.http, "http"]), http1(client, to("live", 80))],
      [
        "one port more",
        () => live(["p", 80, PORTS.http, "http"], ["q", 85, PORTS.greeting, "tcp-server-first"]),
        tcpGreeting(client, to("live", 85)),
      ],
      [
        "a container port that was not served",
        () => live(["p", 80, PORTS.unlisted, "http"]),
        http1(client, to("live", 80)),
      ],
      madeAgain,
      ["another port number", () => live(["p", 8080, PORTS.http, "http"]), http1(client, to("live", 8080))],
    ];
    const server = await addressOf("server");
    const changes = async (what: string): Promise<number> =>
      (await metricBy(server, `envoy_listener_manager_${what}`, "none")).get("") ?? 0;
    const counts = async (): Promise<readonly [modified: number, inPlace: number]> => [
      await changes("listener_modified"),
      await changes("listener_in_place_updated"),
    ];
    // While the pod began, a listener that was not in use yet may have been replaced as a whole.
    const before = await counts();
    for (const [name, edit, call] of steps) {
      await edit();
      await settles(`edited Service · ${name}`, call);
    }
    // Two scrapes: what goes last may be removed between them. Otherwise open connections of all ports would be cut a minute later.
    const modified = await until("changes in place alone", 30_000, async () => {
      const after = await counts();
      expect(after[1] - before[1]).to.equal(after[0] - before[0]);
      return after[0] - before[0];
    });
    report(`edited Service · inbound listener changed ${modified} times, all of them in place`);
    expect(modified).to.be.above(0);
  });

  it("never ends what is only silent", async () => {
    const outcomes = await silence;
    for (const [kind, outcome] of outcomes) report(`silent for ${SILENCE_MS / 1000} s · ${kind}: ${outcome}`);
    expect(outcomes.map(([, outcome]) => outcome)).to.deep.equal(["late", "awake", "awake"]);
  });
});
