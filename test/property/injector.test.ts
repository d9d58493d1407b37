import { expect } from "chai";
import fc from "fast-check";
import { everyHandler, isReservedPort, resolvePort } from "../../src/injector/handlers";
import { inject } from "../../src/injector/inject";
import { RESERVED_VOLUMES } from "../../src/injector/names";
import { containersOf, everyContainer, type PodJson } from "../../src/injector/pod";
import { uninject } from "../../src/injector/undo";
import { bootstrapOf, initScriptOf, injected } from "../support/injection";
import { randomRequest } from "../support/random-pod";

/** 1,000 pods with OSM_FULL=1, else 200. */
const numRuns = process.env["OSM_FULL"] === "1" ? 1000 : 200;

const listenPorts = (pod: PodJson): Set<number> => {
  const { static_resources } = bootstrapOf(pod) as {
    static_resources: { listeners: { address: { socket_address: { port_value: number } } }[] };
  };
  return new Set(static_resources.listeners.map(({ address }) => address.socket_address.port_value));
};

describe("injector: random pods", function () {
  this.timeout(120_000);

  it("are injected, and a second call changes nothing", () => {
    fc.assert(
      fc.property(randomRequest, request => {
        const pod = injected(request);
        expect(injected({ ...request, pod, uid: "another" })).to.deep.equal(pod);
      }),
      { numRuns },
    );
  });

  it("come back unchanged when injection is undone", () => {
    fc.assert(
      fc.property(randomRequest, request => {
        const undone = uninject(injected(request)).pod;
        const scrape =
          request.namespace.annotations["openservicemesh.io/metrics"] === undefined ? undefined : "true";
        expect(undone.metadata?.annotations?.["prometheus.io/scrape"]).to.equal(scrape);
        expect(undone.spec).to.deep.equal(request.pod.spec);
      }),
      { numRuns },
    );
  });

  it("have unique names, and every network probe of theirs reaches a listener that exists and is not redirected", () => {
    fc.assert(
      fc.property(randomRequest, request => {
        const pod = injected(request);
        const names = [...everyContainer(pod)].map(({ container }) => container.name);
        expect(new Set(names).size).to.equal(names.length);
        const volumes = (pod.spec?.volumes ?? []).map(({ name }) => name);
        expect(volumes).to.include.members([...RESERVED_VOLUMES]);
        expect(new Set(volumes).size).to.equal(volumes.length);
        expectHandlersServed(pod);
      }),
      { numRuns },
    );
  });

  it("never make the injector throw, whatever the values of annotations are", () => {
    const words = fc.dictionary(fc.constantFrom(...ANNOTATIONS), fc.string());
    fc.assert(
      fc.property(randomRequest, words, (request, annotations) => {
        const pod = { ...request.pod, metadata: { ...request.pod.metadata, annotations } };
        const result = inject({ ...request, pod });
        if (result.kind === "refuse") expect(result.message).to.contain("annotation");
      }),
      { numRuns },
    );
  });
});

const ANNOTATIONS = [
  "openservicemesh.io/sidecar-injection",
  "openservicemesh.io/outbound-port-exclusion-list",
  "openservicemesh.io/inbound-port-exclusion-list",
  "openservicemesh.io/outbound-ip-range-exclusion-list",
  "openservicemesh.io/outbound-ip-range-inclusion-list",
];

function expectHandlersServed(pod: PodJson): void {
  const listening = listenPorts(pod);
  const script = initScriptOf(pod);
  for (const { handler, container } of everyHandler(pod)) {
    const { httpGet, grpc } = handler;
    expect(handler.tcpSocket).to.equal(undefined);
    if (httpGet?.host !== undefined) continue;
    const port = grpc?.port ?? (httpGet === undefined ? undefined : resolvePort(container, httpGet.port));
    if (port === undefined) continue;
    expect(listening).to.include(port);
    expect(script).to.match(new RegExp(`OSM_PROXY_INBOUND .*[ ,]${port}[ ,].*RETURN`));
    const declared = containersOf(pod, "containers")
      .filter(({ name }) => name !== "envoy")
      .flatMap(({ ports }) => ports ?? []);
    expect(isReservedPort(port) || !declared.some(({ containerPort }) => containerPort === port)).to.equal(
      true,
    );
  }
}
