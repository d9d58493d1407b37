import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import type { MeshConfigSpec } from "../../src/api/mesh-config";
import { initScriptOf, injected, meshConfigWith, podOf, requestFor } from "../support/injection";
import { createNetwork, type Network, type NetworkPod } from "../support/netns";
import { verdict } from "../support/verdict";

const PEER = path.join(__dirname, "../support/redirect-peer.cjs");
const NODE = [process.execPath, PEER] as const;
const SIDECAR = [1500, 1500] as const;
const APP = [1000, 1000] as const;

/** Runs the script of a pod's osm-init in the network namespace, as the kubelet would. Throws when it fails. */
function osmInit(
  pod: NetworkPod,
  meshConfig: MeshConfigSpec,
  annotations: Record<string, string> = {},
): string {
  const script = initScriptOf(
    injected(requestFor({ ...podOf(), metadata: { annotations } }, { meshConfig })),
  );
  return pod.run(["env", `POD_IPS=${pod.ip},${pod.ip6}`, "/bin/sh", "-c", script]);
}

async function serve(pod: NetworkPod, ports: readonly number[]): Promise<void> {
  const child = pod.start([...NODE, "serve", ...ports.map(String)], { stdio: ["ignore", "pipe", "inherit"] });
  if (child.stdout !== null) await once(child.stdout, "data");
}

function call(
  pod: NetworkPod,
  user: readonly [number, number],
  targets: readonly string[],
): Record<string, string> {
  const output = pod.run([...NODE, "call", ...user.map(String), ...targets]);
  return JSON.parse(output) as Record<string, string>;
}

describe("redirect rules of osm-init in a network namespace", function () {
  this.timeout(120_000);
  let network: Network;
  let pod: NetworkPod;
  let peer: NetworkPod;
  let bin = "";

  before(() => {
    bin = mkdtempSync(path.join(os.tmpdir(), "osm-iptables-"));
  });
  beforeEach(async () => {
    network = await createNetwork(["pod", "peer"]);
    [pod, peer] = [network.pod("pod"), network.pod("peer")];
    // A kubelet's pods do not have this.
    pod.run(["sysctl", "-qw", "net.ipv4.conf.all.route_localnet=0"]);
    await serve(pod, [80, 7070, 8080, 15001, 15003, 15010, 15901]);
    await serve(peer, [80, 5432, 15010]);
  });
  afterEach(async () => {
    await network.close();
  });
  after(() => {
    rmSync(bin, { recursive: true, force: true });
  });

  it("take all TCP in and out, in both families, but not the sidecar's own nor talk inside the pod", () => {
    osmInit(pod, meshConfigWith({}));
    for (const [mine, theirs, loopback] of [
      [pod.ip, peer.ip, "127.0.0.1"],
      [pod.ip6, peer.ip6, "::1"],
    ] as const) {
      expect(
        call(peer, APP, [`${mine},80`, `${mine},15001`, `${mine},15010`, `${mine},15901`, `${mine},9`]),
      ).to.deep.equal({
        [`${mine},80`]: "15003",
        [`${mine},15001`]: "15003",
        [`${mine},15010`]: "15010",
        [`${mine},15901`]: "15901",
        [`${mine},9`]: "15003",
      });
      const outward = [
        `${theirs},80`,
        `${theirs},5432`,
        `${theirs},15010`,
        `${loopback},8080`,
        `${mine},8080`,
      ];
      expect(call(pod, APP, outward)).to.deep.equal({
        [`${theirs},80`]: "15001",
        [`${theirs},5432`]: "15001",
        [`${theirs},15010`]: "15010",
        [`${loopback},8080`]: "8080",
        [`${mine},8080`]: "8080",
      });
      expect(call(pod, SIDECAR, outward)).to.deep.equal({
        [`${theirs},80`]: "80",
        [`${theirs},5432`]: "5432",
        [`${theirs},15010`]: "15010",
        [`${loopback},8080`]: "8080",
        // The application called its own Service: in by the front door.
        [`${mine},8080`]: "15003",
      });
      // Only the sidecar's user and group together are let through.
      expect(call(pod, [1500, 0], [`${theirs},80`])).to.deep.equal({ [`${theirs},80`]: "15001" });
      expect(call(pod, [0, 1500], [`${theirs},80`])).to.deep.equal({ [`${theirs},80`]: "15001" });
    }
  });

  it("lead every port of both families to the sidecar, also for a caller of IPv4 in IPv6's form (P-08)", () => {
    osmInit(pod, meshConfigWith({}));
    const own = [15010, 15901];
    const applications = [1, 22, 80, 443, 7070, 8080, 9000, 15001, 30_000, 65_535];
    const closed = Array.from({ length: 200 }, (_, index) => 1 + index * 327);
    const ports = [...new Set([...applications, ...closed])].filter(port => !own.includes(port));
    const hosts = [pod.ip, pod.ip6, `::ffff:${pod.ip}`];
    const targets = hosts.flatMap(host => ports.map(port => `${host},${port}`));
    const answered = call(peer, APP, targets);
    const through = targets.filter(target => answered[target] !== "15003");
    verdict("P-08: plaintext callers, both families", through.length === 0, {
      count: targets.length,
      failed: through.length,
      bound: "0 reach anything but the inbound listener",
    });
    expect(through.map(target => `${target}: ${answered[target] ?? ""}`)).to.deep.equal([]);
  });

  it("leave out what is excluded, also with more than 15 ports", () => {
    const many = Array.from({ length: 40 }, (_, index) => 5400 + index);
    const traffic = { outboundPortExclusionList: many, outboundIPRangeExclusionList: [`${peer.ip6}/128`] };
    osmInit(pod, meshConfigWith({ traffic }), {
      "openservicemesh.io/inbound-port-exclusion-list": "7070",
    });
    expect(call(pod, APP, [`${peer.ip},80`, `${peer.ip},5432`, `${peer.ip6},80`])).to.deep.equal({
      [`${peer.ip},80`]: "15001",
      [`${peer.ip},5432`]: "5432",
      [`${peer.ip6},80`]: "80",
    });
    expect(call(peer, APP, [`${pod.ip},7070`, `${pod.ip},80`, `${pod.ip6},7070`])).to.deep.equal({
      [`${pod.ip},7070`]: "7070",
      [`${pod.ip},80`]: "15003",
      [`${pod.ip6},7070`]: "7070",
    });
  });

  it("take only what is included, and leave excluded interfaces alone", () => {
    osmInit(pod, meshConfigWith({}), {
      "openservicemesh.io/outbound-ip-range-inclusion-list": `${peer.ip6}/128`,
    });
    expect(call(pod, APP, [`${peer.ip},80`, `${peer.ip6},80`])).to.deep.equal({
      [`${peer.ip},80`]: "80",
      [`${peer.ip6},80`]: "15001",
    });
    osmInit(pod, meshConfigWith({ traffic: { networkInterfaceExclusionList: ["eth0"] } }));
    expect(call(pod, APP, [`${peer.ip},80`, `${peer.ip6},80`])).to.deep.equal({
      [`${peer.ip},80`]: "80",
      [`${peer.ip6},80`]: "80",
    });
    expect(call(peer, APP, [`${pod.ip},80`])).to.deep.equal({ [`${pod.ip},80`]: "80" });
  });

  it("bring the sidecar to the pod's address in PodIP mode, and can be written twice", async () => {
    const config = meshConfigWith({ sidecar: { localProxyMode: "PodIP" } });
    osmInit(pod, config);
    const first = pod.run(["iptables-save", "-t", "nat"]) + pod.run(["ip6tables-save", "-t", "nat"]);
    osmInit(pod, config);
    const second = pod.run(["iptables-save", "-t", "nat"]) + pod.run(["ip6tables-save", "-t", "nat"]);
    const rules = (text: string): string[] => text.split("\n").filter(line => line.startsWith("-A"));
    expect(rules(second)).to.deep.equal(rules(first));
    expect(rules(second).filter(rule => rule.includes("DNAT"))).to.have.length(2);
    // Something that listens on the pod's address only, as many stateful applications do.
    const only = pod.start([process.execPath, "-e", LISTEN_ON, pod.ip, pod.ip6], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    if (only.stdout !== null) await once(only.stdout, "data");
    const local = ["127.0.0.1,9000", "::1,9000"];
    expect(call(pod, SIDECAR, local)).to.deep.equal({ "127.0.0.1,9000": "pod", "::1,9000": "pod" });
    expect(call(pod, APP, local)).to.deep.equal({
      "127.0.0.1,9000": "ECONNREFUSED",
      "::1,9000": "ECONNREFUSED",
    });
  });

  it("pass over IPv6 where the pod has none", () => {
    pod.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"]);
    expect(osmInit(pod, meshConfigWith({})))
      .to.contain("no IPv6")
      .and.contain("rules are in place");
    expect(call(pod, APP, [`${peer.ip},80`])).to.deep.equal({ [`${peer.ip},80`]: "15001" });
  });

  it("close TCP over IPv6 where the kernel cannot redirect it, and fail the pod where nothing can be done", () => {
    const kernelWithout = (broken: readonly string[], body: string): string => {
      const folder = path.join(bin, String(broken.length));
      mkdirSync(folder, { recursive: true });
      for (const name of broken)
        writeFileSync(path.join(folder, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 });
      const script = initScriptOf(injected(requestFor(podOf())));
      return pod.run(["env", `PATH=${folder}:${process.env["PATH"] ?? ""}`, "/bin/sh", "-c", script]);
    };
    const six = ["ip6tables-restore", "ip6tables-legacy-restore"];
    const real = pod.run(["/bin/sh", "-c", "command -v ip6tables-restore"]).trim();
    const noNat = `rules=$(cat); case $rules in "*nat"*) exit 1 ;; esac; printf "%s\\n" "$rules" | ${real} --noflush`;
    kernelWithout(six, noNat);
    expect(call(peer, APP, [`${pod.ip},80`, `${pod.ip6},80`])).to.deep.equal({
      [`${pod.ip},80`]: "15003",
      [`${pod.ip6},80`]: "ECONNREFUSED",
    });
    expect(call(pod, APP, [`${peer.ip6},80`, "::1,8080"])).to.deep.equal({
      [`${peer.ip6},80`]: "ECONNREFUSED",
      "::1,8080": "8080",
    });
    expect(() => kernelWithout(six, "exit 1")).to.throw("neither redirected nor closed");
    const four = [...six, "iptables-restore", "iptables-legacy-restore"];
    expect(() => kernelWithout(four, "exit 1")).to.throw("cannot be applied");
  });

  it("fail the pod when osm-init may not write them", () => {
    const script = initScriptOf(injected(requestFor(podOf())));
    const powerless = [
      "setpriv",
      "--bounding-set",
      "-all",
      "--inh-caps",
      "-all",
      "--reuid",
      "1000",
      "--clear-groups",
    ] as const;
    expect(() => pod.run([...powerless, "--regid", "1000", "/bin/sh", "-c", script])).to.throw(
      "cannot be applied",
    );
  });
});

const LISTEN_ON = `
const net = require("node:net");
let open = 0;
for (const host of process.argv.slice(1))
  net.createServer(s => s.end("pod")).listen(9000, host, () => { open += 1; if (open === 2) console.log("ready"); });
`;
