import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { capture, run } from "./shell";
import { HIGHEST_INDEX, hostLinkOf, type ClusterSettings } from "./settings";

/** Kernel settings of the cluster's network namespace; none of them touches the machine's own. */
const SYSCTLS = [
  "net.ipv4.ip_forward=1",
  "net.ipv6.conf.all.forwarding=1",
  "net.ipv6.conf.all.disable_ipv6=0",
  "net.ipv4.conf.all.rp_filter=0",
  "net.ipv4.conf.default.rp_filter=0",
  "net.ipv6.conf.default.accept_dad=0",
];

function inside(settings: ClusterSettings, command: string, args: readonly string[]): Promise<string> {
  return capture("nsenter", [`--net=${settings.netns}`, "--", command, ...args]);
}

/** Whether this machine lets us use IPv6 at all. */
export function hasIpv6(): boolean {
  return existsSync("/proc/sys/net/ipv6");
}

/** Whether the link to the cluster stands and is not another's. */
export async function ownLinkExists(settings: ClusterSettings): Promise<boolean> {
  return ownsLink(settings) && (await run("ip", ["link", "show", settings.hostLink])).code === 0;
}

/** Whether the namespace and the link to it stand. */
export async function networkExists(settings: ClusterSettings): Promise<boolean> {
  if (!existsSync(settings.netns)) return false;
  const node = await run("nsenter", [`--net=${settings.netns}`, "ip", "link", "show", settings.nodeLink]);
  return node.code === 0 && (await ownLinkExists(settings));
}

/**
 * Name of the cluster that the link of a network index belongs to; undefined when there is no such link, "" when it does not
 * say. The kernel keeps it with the link, so it goes when the link goes, and is seen whatever folders a cluster uses.
 */
function linkOwner(index: number): string | undefined {
  try {
    return readFileSync(`/sys/class/net/${hostLinkOf(index)}/ifalias`, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** Whether the link of this index may be taken for the cluster's own: it says so, or says nothing. */
function ownsLink({ name, index }: ClusterSettings): boolean {
  return [name, ""].includes(linkOwner(index) ?? name);
}

/** Throws when another cluster has the networks of this one, and names both and an index that is free. */
export function refuseSharedNetworks(settings: ClusterSettings): void {
  if (ownsLink(settings)) return;
  const indexes = Array.from({ length: HIGHEST_INDEX + 1 }, (_, index) => index);
  const free = indexes.find(index => index > 0 && linkOwner(index) === undefined);
  const advice =
    free === undefined
      ? "none of them is free"
      : `OSM_CLUSTER_INDEX=${free} is free: set it for every command`;
  throw new Error(
    `cluster ${settings.name} and running cluster ${linkOwner(settings.index) ?? ""} would share networks ` +
      `(index ${settings.index} of 0 to ${HIGHEST_INDEX}); ${advice}`,
  );
}

/** Makes the namespace, the veth pair to it, and this machine's routes to pods and Services of the cluster. */
export async function createNetwork(settings: ClusterSettings): Promise<void> {
  await refuseForeignRoutes(settings);
  mkdirSync("/run/netns", { recursive: true });
  await capture("ip", ["netns", "add", settings.name]);
  const pair = ["link", "add", settings.hostLink, "type", "veth", "peer", "name", settings.nodeLink];
  await capture("ip", [...pair, "netns", settings.name]);
  await capture("ip", ["link", "set", settings.hostLink, "alias", settings.name]);
  await capture("ip", ["addr", "add", `${settings.hostAddress}/24`, "dev", settings.hostLink]);
  await capture("ip", ["link", "set", settings.hostLink, "up"]);
  for (const setting of SYSCTLS) await inside(settings, "sysctl", ["-q", "-e", "-w", setting]);
  await inside(settings, "ip", ["link", "set", "lo", "up"]);
  await inside(settings, "ip", ["addr", "add", `${settings.nodeAddress}/24`, "dev", settings.nodeLink]);
  await inside(settings, "ip", ["link", "set", settings.nodeLink, "up"]);
  await inside(settings, "ip", ["route", "add", "default", "via", settings.hostAddress]);
  for (const cidr of [settings.podCidr, settings.serviceCidr]) {
    await capture("ip", ["route", "add", cidr, "via", settings.nodeAddress, "dev", settings.hostLink]);
  }
  if (hasIpv6()) await createNetwork6(settings);
}

async function createNetwork6(settings: ClusterSettings): Promise<void> {
  await capture("ip", [
    "-6",
    "addr",
    "add",
    `${settings.hostAddress6}/64`,
    "dev",
    settings.hostLink,
    "nodad",
  ]);
  const address = ["-6", "addr", "add", `${settings.nodeAddress6}/64`, "dev", settings.nodeLink, "nodad"];
  await inside(settings, "ip", address);
  await inside(settings, "ip", ["-6", "route", "add", "default", "via", settings.hostAddress6]);
  for (const cidr of [settings.podCidr6, settings.serviceCidr6]) {
    await capture("ip", ["-6", "route", "add", cidr, "via", settings.nodeAddress6, "dev", settings.hostLink]);
  }
}

async function refuseForeignRoutes(settings: ClusterSettings): Promise<void> {
  const link = `${settings.hostAddress}/24`;
  for (const cidr of [settings.podCidr, settings.serviceCidr, link]) {
    const shown = await capture("ip", ["-4", "route", "show", "root", cidr.replace(/\.1\/24$/, ".0/24")]);
    if (shown.trim() === "") continue;
    throw new Error(
      `this machine already routes ${cidr} (${shown.trim()}); choose other networks with OSM_CLUSTER_INDEX=0..19`,
    );
  }
}

/** Removes the link and the namespace; pods' own namespaces must be gone before. Safe to repeat; a link of
 * another cluster of the same index stays. */
export async function removeNetwork(settings: ClusterSettings): Promise<void> {
  if (ownsLink(settings)) await run("ip", ["link", "del", settings.hostLink]);
  if (existsSync(settings.netns)) await run("ip", ["netns", "del", settings.name]);
}
