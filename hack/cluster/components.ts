import { writeFileSync } from "node:fs";
import path from "node:path";
import { auditFlags, writeAuditPolicy } from "./audit";
import { containerdPaths } from "./container-runtime";
import { kubeconfigFile, pkiFile } from "./credentials";
import { hasIpv6 } from "./network";
import type { ProcessPlan } from "./processes";
import type { ClusterSettings } from "./settings";

const ETCD = "http://127.0.0.1:2379";

function podCidrs(settings: ClusterSettings): string {
  return [settings.podCidr, ...(hasIpv6() ? [settings.podCidr6] : [])].join(",");
}

function serviceCidrs(settings: ClusterSettings): string {
  return [settings.serviceCidr, ...(hasIpv6() ? [settings.serviceCidr6] : [])].join(",");
}

function flags(values: Readonly<Record<string, string | number | boolean>>): string[] {
  return Object.entries(values).map(([name, value]) => `--${name}=${value}`);
}

function etcd(settings: ClusterSettings): ProcessPlan {
  const args = flags({
    name: settings.name,
    "data-dir": path.join(settings.state, "etcd"),
    "listen-client-urls": ETCD,
    "advertise-client-urls": ETCD,
    "listen-peer-urls": "http://127.0.0.1:2380",
    // The data lives as long as the cluster; not waiting for the disk is what makes tests quick.
    "unsafe-no-fsync": true,
    "auto-compaction-mode": "periodic",
    "auto-compaction-retention": "5m",
    "quota-backend-bytes": 1 << 30,
    "log-level": "warn",
  });
  return { name: "etcd", command: "/usr/bin/etcd", args };
}

function containerd(settings: ClusterSettings): ProcessPlan {
  return { name: "containerd", command: "containerd", args: ["--config", containerdPaths(settings).config] };
}

function apiserver(settings: ClusterSettings, kube: string): ProcessPlan {
  const pki = (file: string): string => pkiFile(settings, file);
  const args = flags({
    "etcd-servers": ETCD,
    "advertise-address": settings.nodeAddress,
    "secure-port": 6443,
    "service-cluster-ip-range": serviceCidrs(settings),
    "authorization-mode": "Node,RBAC",
    "enable-admission-plugins": "NodeRestriction",
    "allow-privileged": true,
    "client-ca-file": pki("ca.crt"),
    "tls-cert-file": pki("apiserver.crt"),
    "tls-private-key-file": pki("apiserver.key"),
    "kubelet-client-certificate": pki("apiserver-kubelet.crt"),
    "kubelet-client-key": pki("apiserver-kubelet.key"),
    "kubelet-preferred-address-types": "InternalIP",
    "service-account-issuer": "https://kubernetes.default.svc",
    "service-account-key-file": pki("service-account.pub"),
    "service-account-signing-key-file": pki("service-account.key"),
    "cert-dir": path.join(settings.state, "pki"),
    ...auditFlags(settings),
  });
  return { name: "kube-apiserver", command: path.join(kube, "kube-apiserver"), args };
}

function controllerManager(settings: ClusterSettings, kube: string): ProcessPlan {
  const kubeconfig = kubeconfigFile(settings, "controller-manager");
  const args = flags({
    kubeconfig,
    "authentication-kubeconfig": kubeconfig,
    "authorization-kubeconfig": kubeconfig,
    "bind-address": "127.0.0.1",
    // One node and one range: the CNI plugin hands out addresses itself.
    "allocate-node-cidrs": false,
    "cluster-cidr": podCidrs(settings),
    "service-cluster-ip-range": serviceCidrs(settings),
    "leader-elect": false,
    "use-service-account-credentials": true,
    "root-ca-file": pkiFile(settings, "ca.crt"),
    "service-account-private-key-file": pkiFile(settings, "service-account.key"),
    "cluster-signing-cert-file": pkiFile(settings, "ca.crt"),
    "cluster-signing-key-file": pkiFile(settings, "ca.key"),
    "concurrent-deployment-syncs": 5,
    "cert-dir": path.join(settings.state, "pki"),
  });
  return { name: "kube-controller-manager", command: path.join(kube, "kube-controller-manager"), args };
}

function scheduler(settings: ClusterSettings, kube: string): ProcessPlan {
  const kubeconfig = kubeconfigFile(settings, "scheduler");
  const args = flags({
    kubeconfig,
    "authentication-kubeconfig": kubeconfig,
    "authorization-kubeconfig": kubeconfig,
    "bind-address": "127.0.0.1",
    "leader-elect": false,
    "cert-dir": path.join(settings.state, "pki"),
  });
  return { name: "kube-scheduler", command: path.join(kube, "kube-scheduler"), args };
}

function kubeletConfig(settings: ClusterSettings): unknown {
  const endpoint = `unix://${containerdPaths(settings).socket}`;
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    authentication: { anonymous: { enabled: false }, x509: { clientCAFile: pkiFile(settings, "ca.crt") } },
    authorization: { mode: "Webhook" },
    address: settings.nodeAddress,
    healthzBindAddress: "127.0.0.1",
    cgroupDriver: "cgroupfs",
    cgroupRoot: `/${settings.name}`,
    failCgroupV1: false,
    failSwapOn: false,
    localStorageCapacityIsolation: false,
    enforceNodeAllocatable: ["pods"],
    evictionHard: { "memory.available": "50Mi", "nodefs.available": "0.1%", "imagefs.available": "0.1%" },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    containerRuntimeEndpoint: endpoint,
    imageServiceEndpoint: endpoint,
    clusterDNS: [settings.dnsAddress],
    clusterDomain: "cluster.local",
    resolvConf: path.join(settings.state, "resolv.conf"),
    maxPods: 250,
    serializeImagePulls: false,
    kubeAPIQPS: 100,
    kubeAPIBurst: 200,
    eventRecordQPS: 0,
    syncFrequency: "30s",
    volumeStatsAggPeriod: "-1s",
    volumePluginDir: path.join(settings.state, "kubelet", "volume-plugins"),
    // A kubelet removes logs of pods that it does not know: two clusters of one machine must not have them in one folder.
    podLogsDir: path.join(settings.state, "kubelet", "pod-logs"),
  };
}

function kubelet(settings: ClusterSettings, kube: string): ProcessPlan {
  const args = flags({
    config: path.join(settings.state, "kubelet.json"),
    kubeconfig: kubeconfigFile(settings, "kubelet"),
    "hostname-override": settings.name,
    "node-ip": [settings.nodeAddress, ...(hasIpv6() ? [settings.nodeAddress6] : [])].join(","),
    "root-dir": path.join(settings.state, "kubelet"),
    "cert-dir": path.join(settings.state, "kubelet", "pki"),
    v: 1,
  });
  return { name: "kubelet", command: path.join(kube, "kubelet"), args };
}

function proxy(settings: ClusterSettings, kube: string): ProcessPlan {
  const args = flags({
    kubeconfig: kubeconfigFile(settings, "proxy"),
    "proxy-mode": "iptables",
    "cluster-cidr": podCidrs(settings),
    "hostname-override": settings.name,
    "conntrack-max-per-core": 0,
    "conntrack-tcp-timeout-established": "0s",
    "conntrack-tcp-timeout-close-wait": "0s",
    "iptables-min-sync-period": "100ms",
    "nodeport-addresses": "primary",
  });
  return { name: "kube-proxy", command: path.join(kube, "kube-proxy"), args };
}

/** Every process of the cluster, in the order in which they are started. `kube` is the folder of `ensureKube`. */
export function componentPlans(settings: ClusterSettings, kube: string): ProcessPlan[] {
  return [
    etcd(settings),
    containerd(settings),
    apiserver(settings, kube),
    controllerManager(settings, kube),
    scheduler(settings, kube),
    kubelet(settings, kube),
    proxy(settings, kube),
  ];
}

/** Writes the files that the components read beside keys and kubeconfigs. */
export function writeComponentConfig(settings: ClusterSettings): void {
  const config = JSON.stringify(kubeletConfig(settings), undefined, 2);
  writeFileSync(path.join(settings.state, "kubelet.json"), config);
  writeAuditPolicy(settings);
  writeFileSync(path.join(settings.state, "resolv.conf"), `nameserver ${settings.dnsAddress}\n`);
}
