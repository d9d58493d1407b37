import { expect } from "chai";
import type { MeshConfigSpec } from "../../../src/api/mesh-config";
import { parseRange } from "../../../src/injector/address-range";
import { inject } from "../../../src/injector/inject";
import type { RedirectPlan } from "../../../src/injector/redirect";
import { closedRules, redirectRules } from "../../../src/injector/iptables";
import { planRedirect } from "../../../src/injector/redirect";
import {
  containerNamed,
  initScriptOf,
  injected,
  meshConfigWith,
  podOf,
  requestFor,
} from "../../support/injection";

/** Ports of the sidecar's static listeners. */
const OWN = [15010, 15901, 15902, 15903, 15904];
const NO_LISTS = { outboundPorts: [], inboundPorts: [], excludedRanges: [], includedRanges: [] };
const planOf = (traffic: Partial<MeshConfigSpec["traffic"]> = {}, pod = {}): RedirectPlan =>
  planRedirect(meshConfigWith({ traffic }), { ...NO_LISTS, ...pod }, []);
const rulesOf = (plan: RedirectPlan, family: "ipv4" | "ipv6" = "ipv4"): string[] =>
  redirectRules(plan, family).split("\n");
const annotation = (key: string, value: string): ReturnType<typeof podOf> => ({
  ...podOf(),
  metadata: { annotations: { [`openservicemesh.io/${key}`]: value } },
});

describe("injector: redirect rules", () => {
  it("are these without any list", () => {
    expect(rulesOf(planOf())).to.deep.equal([
      "*nat",
      ":OSM_PROXY_INBOUND - [0:0]",
      ":OSM_PROXY_IN_REDIRECT - [0:0]",
      ":OSM_PROXY_OUTBOUND - [0:0]",
      ":OSM_PROXY_OUT_REDIRECT - [0:0]",
      "-A OSM_PROXY_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15003",
      "-A OSM_PROXY_OUT_REDIRECT -p tcp -j REDIRECT --to-ports 15001",
      "-A OSM_PROXY_INBOUND -p tcp -m multiport --dports 15010,15901,15902,15903,15904 -j RETURN",
      "-A OSM_PROXY_INBOUND -p tcp -j OSM_PROXY_IN_REDIRECT",
      "-A OSM_PROXY_OUTBOUND -o lo ! -d 127.0.0.1/32 -m owner --uid-owner 1500 --gid-owner 1500 -j OSM_PROXY_IN_REDIRECT",
      "-A OSM_PROXY_OUTBOUND -m owner --uid-owner 1500 --gid-owner 1500 -j RETURN",
      "-A OSM_PROXY_OUTBOUND -o lo -j RETURN",
      "-A OSM_PROXY_OUTBOUND -d 127.0.0.1/32 -j RETURN",
      "-A OSM_PROXY_OUTBOUND -p tcp -m multiport --dports 15010,15901,15902,15903,15904 -j RETURN",
      "-A OSM_PROXY_OUTBOUND -j OSM_PROXY_OUT_REDIRECT",
      "-A PREROUTING -p tcp -j OSM_PROXY_INBOUND",
      "-A OUTPUT -p tcp -j OSM_PROXY_OUTBOUND",
      "COMMIT",
      "",
    ]);
  });

  it("are the same for IPv6 but for the loopback address", () => {
    const exchanged = redirectRules(planOf(), "ipv4").replaceAll("127.0.0.1/32", "::1/128");
    expect(redirectRules(planOf(), "ipv6")).to.equal(exchanged);
  });

  it("split port lists of more than 15 (BUG-26)", () => {
    const outboundPortExclusionList = Array.from({ length: 40 }, (_, index) => 1000 + index);
    const rules = rulesOf(planOf({ outboundPortExclusionList })).filter(
      rule => rule.startsWith("-A OSM_PROXY_OUTBOUND") && rule.includes("multiport"),
    );
    expect(rules).to.have.length(Math.ceil((OWN.length + 40) / 15));
    const ports = rules.flatMap(rule => (/--dports (\S+)/.exec(rule)?.[1] ?? "").split(",").map(Number));
    expect(ports).to.deep.equal([...OWN, ...outboundPortExclusionList]);
    for (const rule of rules) expect(rule.split(",").length, rule).to.be.at.most(15);
  });

  it("join MeshConfig's lists with the pod's, each entry once, and put exclusion before inclusion", () => {
    const traffic = {
      outboundPortExclusionList: [5432, 6379],
      inboundPortExclusionList: [7070],
      outboundIPRangeExclusionList: ["10.1.0.0/16"],
      outboundIPRangeInclusionList: ["10.0.0.0/8"],
      networkInterfaceExclusionList: ["net1"],
    };
    const pod = {
      outboundPorts: [6379, 9999],
      inboundPorts: [7070, 7071],
      excludedRanges: ["10.2.0.0/16", "10.1.0.0/16"],
      includedRanges: ["192.168.0.0/16"],
    };
    const rules = rulesOf(planOf(traffic, pod));
    const outbound = rules.filter(rule => rule.startsWith("-A OSM_PROXY_OUTBOUND ")).slice(4);
    expect(outbound).to.deep.equal([
      "-A OSM_PROXY_OUTBOUND -o net1 -j RETURN",
      "-A OSM_PROXY_OUTBOUND -d 10.2.0.0/16 -j RETURN",
      "-A OSM_PROXY_OUTBOUND -d 10.1.0.0/16 -j RETURN",
      "-A OSM_PROXY_OUTBOUND -p tcp -m multiport --dports 15010,15901,15902,15903,15904,5432,6379,9999 -j RETURN",
      "-A OSM_PROXY_OUTBOUND -d 192.168.0.0/16 -j OSM_PROXY_OUT_REDIRECT",
      "-A OSM_PROXY_OUTBOUND -d 10.0.0.0/8 -j OSM_PROXY_OUT_REDIRECT",
      "-A OSM_PROXY_OUTBOUND -j RETURN",
    ]);
    expect(rules.filter(rule => rule.startsWith("-A OSM_PROXY_INBOUND"))).to.deep.equal([
      "-A OSM_PROXY_INBOUND -i net1 -j RETURN",
      "-A OSM_PROXY_INBOUND -p tcp -m multiport --dports 15010,15901,15902,15903,15904,7070,7071 -j RETURN",
      "-A OSM_PROXY_INBOUND -p tcp -j OSM_PROXY_IN_REDIRECT",
    ]);
  });

  it("put each range into its own family, and an inclusion list limits both", () => {
    const plan = planOf(
      { outboundIPRangeInclusionList: ["10.0.0.0/8"] },
      { excludedRanges: ["fd00:1::/32"] },
    );
    expect(rulesOf(plan)).to.not.include("-A OSM_PROXY_OUTBOUND -d fd00:1::/32 -j RETURN");
    expect(rulesOf(plan, "ipv6")).to.include("-A OSM_PROXY_OUTBOUND -d fd00:1::/32 -j RETURN");
    expect(rulesOf(plan, "ipv6")).to.include("-A OSM_PROXY_OUTBOUND -j RETURN");
    expect(redirectRules(plan, "ipv6")).to.not.contain("10.0.0.0/8");
  });

  it("leave out entries of MeshConfig that iptables would choke on, and interface names that could be anything else", () => {
    const plan = planOf({
      outboundPortExclusionList: [0, 70000, 1.5, 443],
      outboundIPRangeExclusionList: ["10.0.0.0", "10.0.0.0/33", "x", "10.0.0.0/8 -j ACCEPT", "fd00::/129"],
      networkInterfaceExclusionList: [
        "eth1",
        "eth1 -j ACCEPT",
        "'; reboot",
        "",
        "averyverylongname0",
        "net+",
        "eth0:1",
        "eth/0",
        "..",
        "+",
      ],
      inboundPortExclusionList: [15001, 15003, 8443],
    });
    expect(plan.inboundDirectPorts).to.deep.equal([...OWN, 8443]);
    expect(plan.inboundExcludedPorts).to.deep.equal([8443]);
    expect(plan.outboundExcludedPorts).to.deep.equal([...OWN, 443]);
    expect(plan.outboundExcludedRanges).to.deep.equal([]);
    expect(plan.excludedInterfaces).to.deep.equal(["eth1", "net+"]);
  });

  it("stand beside a note of the excluded inbound ports, which the control plane reads; no note where there are none", () => {
    const noteOf = (pod: ReturnType<typeof podOf>, meshConfig = meshConfigWith({})): unknown =>
      containerNamed(injected(requestFor(pod, { meshConfig })), "osm-init").env?.find(
        variable => variable.name === "INBOUND_EXCLUDED_PORTS",
      )?.value;
    const config = meshConfigWith({ traffic: { inboundPortExclusionList: [7070, 15001] } });
    expect(noteOf(podOf())).to.equal(undefined);
    expect(noteOf(annotation("inbound-port-exclusion-list", "9090, 80"), config)).to.equal("7070,9090,80");
  });

  it("have a chain for the pod's address in PodIP mode only", () => {
    const config = meshConfigWith({ sidecar: { localProxyMode: "PodIP" } });
    const rules = rulesOf(planRedirect(config, NO_LISTS, []));
    const jump =
      "-A OUTPUT -p tcp -o lo -d 127.0.0.1/32 -m owner --uid-owner 1500 --gid-owner 1500 -j OSM_PROXY_POD_IP";
    expect(rules.indexOf(jump)).to.be.within(1, rules.indexOf("-A OUTPUT -p tcp -j OSM_PROXY_OUTBOUND"));
    expect(initScriptOf(injected(requestFor(podOf(), { meshConfig: config })))).to.contain("$POD_IPS");
    expect(initScriptOf(injected(requestFor(podOf())))).to.not.contain("POD_IP");
  });

  it("can be written between single quotes of a shell", () => {
    expect(redirectRules(planOf(), "ipv4") + closedRules()).to.not.contain("'");
  });
});

describe("injector: list annotations", () => {
  const good: [string, string, string][] = [
    ["outbound-port-exclusion-list", "6379, 7070", ",6379,7070 -j RETURN"],
    ["inbound-port-exclusion-list", "7070", ",7070 -j"],
    ["outbound-ip-range-exclusion-list", "10.0.0.0/8,fd00::/8", "-d 10.0.0.0/8 -j RETURN"],
    ["outbound-ip-range-inclusion-list", "10.0.0.0/8", "-d 10.0.0.0/8 -j OSM_PROXY_OUT_REDIRECT"],
  ];
  for (const [key, value, rule] of good) {
    it(`${key}: ${value} becomes a rule`, () => {
      expect(initScriptOf(injected(requestFor(annotation(key, value))))).to.contain(rule);
    });
  }
  const bad: [string, string][] = [
    ["outbound-port-exclusion-list", "http"],
    ["outbound-port-exclusion-list", "80,,81"],
    ["outbound-port-exclusion-list", "0"],
    ["outbound-port-exclusion-list", "65536"],
    ["outbound-port-exclusion-list", "80:90"],
    ["inbound-port-exclusion-list", "-1"],
    ["inbound-port-exclusion-list", "15003"],
    ["inbound-port-exclusion-list", "15001"],
    ["outbound-ip-range-exclusion-list", "10.0.0.0"],
    ["outbound-ip-range-exclusion-list", "10.0.0.0/33"],
    ["outbound-ip-range-inclusion-list", "10.0.0.0/8;fd00::/8"],
    ["outbound-ip-range-inclusion-list", "300.0.0.0/8"],
    ["outbound-ip-range-inclusion-list", "fd00:::/8"],
    ["outbound-ip-range-inclusion-list", "'$(reboot)'/8"],
  ];
  for (const [key, value] of bad) {
    it(`${key}: ${value} is refused and the key named`, () => {
      const result = inject(requestFor(annotation(key, value)));
      expect(result.kind).to.equal("refuse");
      expect((result as { message: string }).message).to.contain(`openservicemesh.io/${key}`);
    });
  }

  it("ranges: which texts are one", () => {
    const yes = ["0.0.0.0/0", "1.2.3.4/32", "::/0", "fd00::/8", "1::/16", "::1/128", "a:b:c:d:e:f:1:2/64"];
    yes.push("::ffff:1.2.3.4/128", "1:2:3:4:5:6:1.2.3.4/128");
    const no = [
      "1.2.3/8",
      "01.2.3.4/8",
      "1.2.3.4",
      "1.2.3.4/",
      "::/129",
      ":1::/8",
      "1:::/8",
      "g::/8",
      "::1%lo/128",
    ];
    no.push(
      "1:2:3:4:5:6:7:8:9/8",
      "1::2::3/8",
      "1.2.3.4::/64",
      "1:2:3:4:5:6:7::8/64",
      "12345::/16",
      "/8",
      "",
    );
    for (const text of yes) expect(parseRange(text), text).to.include({ text });
    for (const text of no) expect(parseRange(text), text).to.equal(undefined);
  });
});
