import { expect } from "chai";
import { inject } from "../../../src/injector/inject";
import { FIRST_GRPC_PROBE_PORT } from "../../../src/injector/names";
import { type Probe } from "../../../src/injector/pod";
import { requestTarget, rewriteHandlers } from "../../../src/injector/rewrite";
import {
  containerNamed,
  expectIdempotent,
  injected,
  initScriptOf,
  podOf,
  requestFor,
} from "../../support/injection";

const UUID = "u-u-i-d";
const routesOf = (pod: ReturnType<typeof podOf>): readonly object[] => {
  const result = rewriteHandlers(pod, UUID);
  if ("field" in result) throw new Error(result.message);
  return result.routes;
};

describe("injector: what the kubelet calls", () => {
  it("keeps timing, headers and everything else of a probe", () => {
    const probe: Probe = {
      httpGet: {
        path: "/healthz?full=1",
        port: "web",
        httpHeaders: [{ name: "Host", value: "shop.example" }],
      },
      initialDelaySeconds: 7,
      periodSeconds: 11,
      timeoutSeconds: 4,
      failureThreshold: 5,
      terminationGracePeriodSeconds: 9,
    };
    const pod = podOf({ ports: [{ name: "web", containerPort: 8080 }], livenessProbe: probe });
    const after = containerNamed(injected(requestFor(pod)), "app").livenessProbe;
    expect(after).to.deep.equal({
      ...probe,
      httpGet: {
        path: "/osm-liveness-probe/app",
        port: 15901,
        scheme: "HTTP",
        httpHeaders: [{ name: "Host", value: "shop.example" }],
      },
    });
    expect(routesOf(pod)).to.deep.equal([
      {
        protocol: "http",
        listenPort: 15901,
        path: "/osm-liveness-probe/app",
        targetPort: 8080,
        target: "/healthz?full=1",
        timeoutSeconds: 4,
      },
    ]);
  });

  it("gives each kind its port and each container its path, https and tcp included, in any number", () => {
    const containers = ["a", "a2", "b"].map((name, index) => ({
      name,
      livenessProbe: { httpGet: { path: "/l", port: 8443 + index, scheme: "HTTPS" } },
      readinessProbe: { tcpSocket: { port: 3306 + index } },
      startupProbe: { httpGet: { port: 80 + index } },
    }));
    const routes = routesOf(podOf({}, { containers }));
    expect(routes).to.have.length(9);
    expect(routes).to.deep.include({
      protocol: "https",
      listenPort: 15901,
      path: "/osm-liveness-probe/a2",
      targetPort: 8444,
      target: "/l",
      timeoutSeconds: 1,
    });
    expect(routes).to.deep.include({
      protocol: "tcp",
      listenPort: 15902,
      path: "/osm-readiness-probe/b",
      targetPort: 3308,
      timeoutSeconds: 1,
    });
    expect(routes).to.deep.include({
      protocol: "http",
      listenPort: 15903,
      path: "/osm-startup-probe/a",
      targetPort: 80,
      target: "/",
      timeoutSeconds: 1,
    });
  });

  it("gives gRPC probes a listener for each application port, on ports nobody declares", () => {
    const grpc = (port: number, timeoutSeconds: number): Probe => ({
      grpc: { port, service: "s" },
      timeoutSeconds,
    });
    const pod = podOf({
      ports: [{ containerPort: FIRST_GRPC_PROBE_PORT }],
      livenessProbe: grpc(9000, 2),
      readinessProbe: grpc(9000, 5),
      startupProbe: grpc(9001, 1),
    });
    const after = containerNamed(expectIdempotent(requestFor(pod)), "app");
    expect(after.livenessProbe).to.deep.equal({ grpc: { port: 15912, service: "s" }, timeoutSeconds: 2 });
    expect(after.readinessProbe?.grpc?.port).to.equal(15912);
    expect(after.startupProbe?.grpc?.port).to.equal(15913);
    expect(routesOf(pod)).to.deep.equal([
      { protocol: "grpc", listenPort: 15912, targetPort: 9000, timeoutSeconds: 5 },
      { protocol: "grpc", listenPort: 15913, targetPort: 9001, timeoutSeconds: 1 },
    ]);
    expect(initScriptOf(injected(requestFor(pod)))).to.contain("15904,15912,15913 -j RETURN");
  });

  it("treats the probes and hooks of native sidecars too, and nothing of plain init containers", () => {
    const pod = podOf(
      {},
      {
        initContainers: [
          { name: "log", restartPolicy: "Always", startupProbe: { httpGet: { port: 2020, path: "/up" } } },
          { name: "plain" },
        ],
      },
    );
    expect(routesOf(pod)).to.have.length(1);
    const after = containerNamed(expectIdempotent(requestFor(pod)), "log");
    expect(after.startupProbe?.httpGet?.path).to.equal("/osm-startup-probe/log");
  });

  it("serves lifecycle hooks under a path that only readers of the pod know", () => {
    const hook = { httpGet: { path: "/shutdown", port: 8080, scheme: "HTTP" } };
    const pod = podOf({ lifecycle: { preStop: hook, postStart: { exec: { command: ["true"] } } } });
    const request = requestFor(pod);
    const after = containerNamed(expectIdempotent(request), "app").lifecycle;
    expect(after?.preStop?.httpGet).to.include({
      path: `/osm-pre-stop-hook/app/${request.uid}`,
      port: 15904,
    });
    expect(after?.postStart).to.deep.equal({ exec: { command: ["true"] } });
    expect(routesOf(pod)).to.deep.include({
      protocol: "http",
      listenPort: 15904,
      path: `/osm-pre-stop-hook/app/${UUID}`,
      targetPort: 8080,
      target: "/shutdown",
      timeoutSeconds: 0,
    });
  });

  const untouched: [string, Probe][] = [
    ["exec", { exec: { command: ["true"] } }],
    ["a probe of another host", { httpGet: { host: "10.0.0.1", port: 80 } }],
    ["a tcp probe of another host", { tcpSocket: { host: "10.0.0.1", port: 80 } }],
    ["a port name that is not declared", { httpGet: { port: "nowhere" } }],
  ];
  for (const [what, probe] of untouched) {
    it(`leaves ${what} alone`, () => {
      const pod = podOf({ livenessProbe: probe });
      expect(containerNamed(injected(requestFor(pod)), "app").livenessProbe).to.deep.equal(probe);
    });
  }

  it("reads a port written as a decimal string, as the kubelet does", () => {
    expect(routesOf(podOf({ livenessProbe: { httpGet: { port: "8080" } } }))[0]).to.include({
      targetPort: 8080,
    });
  });

  it("refuses rather than mixes up when gRPC ports run out", () => {
    const containers = Array.from({ length: 90 }, (_, index) => ({
      name: `c${index}`,
      livenessProbe: { grpc: { port: 20_000 + index } },
    }));
    expect(inject(requestFor(podOf({}, { containers })))).to.include({ kind: "refuse" });
  });

  const targets: [string, string][] = [
    ["", "/"],
    ["/", "/"],
    ["healthz", "/healthz"],
    ["/a?b=c&d=%20", "/a?b=c&d=%20"],
    ["/a#part", "/a"],
    ["/a b", "/a%20b"],
    ["/é", "/%C3%A9"],
    ["/x\r\nEvil: 1", "/x%0D%0AEvil:%201"],
    ["?q", "/?q"],
    ["/\ud800", "/%EF%BF%BD"],
  ];
  for (const [path, target] of targets) {
    it(`asks for ${target} when the probe says ${JSON.stringify(path)}`, () => {
      expect(requestTarget(path)).to.equal(target);
    });
  }
});
