import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { IMAGES } from "../images/names";
import { hasIpv6 } from "./network";
import type { ClusterSettings } from "./settings";

/** Paths of containerd, all below the state folder. */
export interface ContainerdPaths {
  readonly socket: string;
  readonly config: string;
  readonly run: string;
  readonly cni: string;
  /** Folder that is asked how to reach a registry: `<host:port>/hosts.toml`. Read at each pull. */
  readonly registries: string;
}

/** Where this cluster's containerd keeps what. */
export function containerdPaths(settings: ClusterSettings): ContainerdPaths {
  const folder = path.join(settings.state, "containerd");
  return {
    socket: path.join(folder, "containerd.sock"),
    config: path.join(folder, "config.toml"),
    run: path.join(folder, "run"),
    cni: path.join(settings.state, "cni"),
    registries: path.join(folder, "certs.d"),
  };
}

function configToml(settings: ClusterSettings): string {
  const paths = containerdPaths(settings);
  const folder = path.join(settings.state, "containerd");
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return `version = 2
root = "${folder}/root"
state = "${paths.run}"
[grpc]
  address = "${paths.socket}"
[ttrpc]
  address = "${paths.socket}.ttrpc"
[debug]
  level = "warn"
[plugins."io.containerd.internal.v1.opt"]
  path = "${folder}/opt"
[${cri}]
  sandbox_image = "${IMAGES.pause}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  # So that "down" finds every mount of a pod below the state folder.
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
[${cri}.containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"
[${cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[${cri}.containerd.runtimes.runc.options]
  Root = "${folder}/runc"
  SystemdCgroup = false
[${cri}.registry]
  config_path = "${paths.registries}"
[${cri}.cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "${paths.cni}"
`;
}

function cniConfig(settings: ClusterSettings): unknown {
  const ranges = [[{ subnet: settings.podCidr }], ...(hasIpv6() ? [[{ subnet: settings.podCidr6 }]] : [])];
  const routes = [{ dst: "0.0.0.0/0" }, ...(hasIpv6() ? [{ dst: "::/0" }] : [])];
  const ipam = { type: "host-local", dataDir: path.join(settings.state, "ipam"), ranges, routes };
  // A point-to-point link per pod: everything is routed, so Service addresses work both ways without the kernel
  // module br_netfilter, which a bridge would need for two pods of one node.
  const link = { type: "ptp", mtu: 1500, ipMasq: false, ipam };
  const ports = { type: "portmap", capabilities: { portMappings: true }, snat: true };
  return { cniVersion: "1.0.0", name: settings.name, plugins: [link, ports] };
}

/** Writes containerd's and CNI's configuration. */
export function writeRuntimeConfig(settings: ClusterSettings): void {
  const paths = containerdPaths(settings);
  mkdirSync(path.dirname(paths.config), { recursive: true });
  mkdirSync(paths.cni, { recursive: true });
  writeFileSync(paths.config, configToml(settings));
  writeFileSync(path.join(paths.cni, "10-osm.conflist"), JSON.stringify(cniConfig(settings), undefined, 2));
}
