import { expect } from "chai";
import { inject } from "../../../src/injector/inject";
import { ENV_ORIGINALS, VOLUME_IDENTITY, VOLUME_RUN } from "../../../src/injector/names";
import type { PodJson } from "../../../src/injector/pod";
import { RESERVED_PORTS, SIDECAR_UID } from "../../../src/model/mesh-words";
import { containerNamed, injected, podOf, requestFor } from "../../support/injection";

const refusal = (pod: PodJson): { field: string; message: string } => {
  const result = inject(requestFor(pod));
  if (result.kind !== "refuse") throw new Error(`expected a refusal, got ${result.kind}`);
  return result;
};

describe("injector: what only the sidecar may have (T-14, T-15, T-17)", () => {
  const cases: [string, string, PodJson][] = [
    ["a container named envoy", "spec.containers[0].name", podOf({ name: "envoy" })],
    ["a container named osm-init", "spec.containers[0].name", podOf({ name: "osm-init" })],
    [
      "an init container named envoy",
      "spec.initContainers[0].name",
      podOf({}, { initContainers: [{ name: "envoy", image: "x" }] }),
    ],
    [
      "an init container named osm-init",
      "spec.initContainers[1].name",
      podOf({}, { initContainers: [{ name: "first" }, { name: "osm-init" }] }),
    ],
    [
      "the pod's user",
      "spec.securityContext.runAsUser",
      podOf({}, { securityContext: { runAsUser: SIDECAR_UID } }),
    ],
    [
      "a container's user",
      "spec.containers[0].securityContext.runAsUser",
      podOf({ securityContext: { runAsUser: SIDECAR_UID } }),
    ],
    [
      "an init container's user",
      "spec.initContainers[0].securityContext.runAsUser",
      podOf({}, { initContainers: [{ name: "i", securityContext: { runAsUser: SIDECAR_UID } }] }),
    ],
    [
      "a mount of the identity",
      "spec.containers[0].volumeMounts[0].name",
      podOf({
        volumeMounts: [{ name: VOLUME_IDENTITY, mountPath: "/steal" }],
      }),
    ],
    [
      "the identity volume",
      "spec.volumes[1].name",
      podOf({}, { volumes: [{ name: "x" }, { name: VOLUME_IDENTITY }] }),
    ],
    ["the run volume", "spec.volumes[0].name", podOf({}, { volumes: [{ name: VOLUME_RUN }] })],
    ...RESERVED_PORTS.map((port): [string, string, PodJson] => [
      `port ${port}`,
      "spec.containers[0].ports[1].containerPort",
      podOf({ ports: [{ containerPort: 80 }, { containerPort: port }] }),
    ]),
    [
      "a probe of a reserved port",
      "spec.containers[0].livenessProbe",
      podOf({ livenessProbe: { httpGet: { port: 15000 } } }),
    ],
  ];
  for (const [what, field, pod] of cases) {
    it(`refuses ${what} and names the field`, () => {
      expect(refusal(pod).field).to.equal(field);
      expect(refusal(pod).message).to.contain(field);
    });
  }

  it("gives a pod that was prepared to look injected the real sidecar", () => {
    const fake = podOf(
      {},
      {
        initContainers: [{ name: "osm-init", image: "evil" }],
        containers: [
          { name: "app", image: "app:1" },
          { name: "envoy", image: "evil", command: ["sleep"], env: [{ name: ENV_ORIGINALS, value: "[{]" }] },
        ],
      },
    );
    const pod = injected(requestFor(fake));
    expect(pod).to.deep.equal(injected(requestFor(podOf())));
    expect(containerNamed(pod, "envoy").image).to.equal("envoy:test");
  });

  it("does not take bad records of originals at their word", () => {
    const records = [
      "null",
      "7",
      "[null]",
      '[{"list":"x","container":"app","kind":"livenessProbe","handler":{}}]',
    ];
    const httpGet = { path: 5, port: 80 };
    records.push(
      JSON.stringify([{ list: "containers", container: "app", kind: "livenessProbe", handler: { httpGet } }]),
    );
    for (const value of records) {
      const pod = injected(requestFor(podOf({ livenessProbe: { httpGet: { path: "/x", port: 80 } } })));
      const sidecar = { ...containerNamed(pod, "envoy"), env: [{ name: ENV_ORIGINALS, value }] };
      const forged = { ...pod, spec: { ...pod.spec, initContainers: [sidecar] } };
      const again = inject(requestFor(forged));
      // Its probe still points at the sidecar, and nobody knows what it was: that is for the owner to repair.
      expect(again).to.include({ kind: "refuse", field: "spec.containers[0].livenessProbe" });
    }
  });
});
