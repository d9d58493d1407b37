import { createHash } from "node:crypto";
import { IMAGES } from "../images/names";
import type { ClusterSettings } from "./settings";

// Two server blocks, because inside one block CoreDNS asks "template" before "kubernetes" whatever the order here.
const COREFILE = `cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {
  errors
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    pods insecure
    ttl 5
  }
  cache 5
}
.:53 {
  errors
  health :8080 {
    lameduck 1s
  }
  ready :8181
  prometheus :9153
  reload 5s
  template ANY ANY {
    rcode NXDOMAIN
  }
}
import /etc/coredns/custom/*.server
`;

const LABELS = { "k8s-app": "kube-dns" };

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

function dnsAccess(): unknown[] {
  const subjects = [{ kind: "ServiceAccount", name: "coredns", namespace: "kube-system" }];
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "system:coredns" };
  const rules = [
    { apiGroups: [""], resources: ["services", "pods", "namespaces"], verbs: ["list", "watch"] },
    { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
  ];
  const rbac = "rbac.authorization.k8s.io/v1";
  return [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "coredns", namespace: "kube-system" } },
    { apiVersion: rbac, kind: "ClusterRole", metadata: { name: "system:coredns" }, rules },
    { apiVersion: rbac, kind: "ClusterRoleBinding", metadata: { name: "system:coredns" }, roleRef, subjects },
  ];
}

function dnsContainer(): unknown {
  return {
    name: "coredns",
    image: IMAGES.coredns,
    imagePullPolicy: "IfNotPresent",
    args: ["-conf", "/etc/coredns/Corefile"],
    resources: { requests: { cpu: "20m", memory: "30Mi" }, limits: { memory: "170Mi" } },
    readinessProbe: { httpGet: { path: "/ready", port: 8181 }, periodSeconds: 1 },
    livenessProbe: { httpGet: { path: "/health", port: 8080 }, initialDelaySeconds: 10 },
    volumeMounts: [
      { name: "config", mountPath: "/etc/coredns" },
      { name: "custom", mountPath: "/etc/coredns/custom" },
    ],
  };
}

function dnsDeployment(): unknown {
  const volumes = [
    { name: "config", configMap: { name: "coredns" } },
    { name: "custom", configMap: { name: "coredns-custom", optional: true } },
  ];
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "coredns", namespace: "kube-system", labels: LABELS },
    spec: {
      replicas: 1,
      selector: { matchLabels: LABELS },
      template: {
        metadata: { labels: LABELS, annotations: { "osm-cluster/config": hashOf(COREFILE) } },
        spec: {
          serviceAccountName: "coredns",
          priorityClassName: "system-cluster-critical",
          dnsPolicy: "Default",
          terminationGracePeriodSeconds: 2,
          containers: [dnsContainer()],
          volumes,
        },
      },
    },
  };
}

function dnsService(settings: ClusterSettings): unknown {
  const ports = [
    { name: "dns", port: 53, protocol: "UDP" },
    { name: "dns-tcp", port: 53, protocol: "TCP" },
  ];
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "kube-dns", namespace: "kube-system", labels: LABELS },
    spec: { clusterIP: settings.dnsAddress, selector: LABELS, ports },
  };
}

/** What a cluster holds before anyone deploys to it: the rights of kube-proxy and a DNS server. One JSON list. */
export function addonManifest(settings: ClusterSettings): string {
  const proxyBinding = {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name: "osm-cluster:node-proxier" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "system:node-proxier" },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: "system:kube-proxy" }],
  };
  const config = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "coredns", namespace: "kube-system" },
    data: { Corefile: COREFILE },
  };
  // Never empty, because CoreDNS warns every few seconds about an import that finds no file.
  const custom = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "coredns-custom", namespace: "kube-system" },
    data: { "none.server": "# More server blocks go into keys of their own that end in .server\n" },
  };
  const items = [proxyBinding, config, custom, ...dnsAccess(), dnsDeployment(), dnsService(settings)];
  return JSON.stringify({ apiVersion: "v1", kind: "List", items });
}

/** Hash of {@link addonManifest}, by which `up` knows whether a running cluster has the present one. */
export function addonHash(settings: ClusterSettings): string {
  return hashOf(addonManifest(settings));
}
