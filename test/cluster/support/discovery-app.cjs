"use strict";
/**
 * Stands for the service discovery of Kubernetes that Debian leaves out of its Prometheus: serves what the API server says of
 * pods, nodes and itself as `http_sd_configs` reads it, with the labels that `kubernetes_sd_configs` would give. Runs beside
 * Prometheus with the rights of its ServiceAccount.
 */
const { readFileSync } = require("node:fs");
const http = require("node:http");
const https = require("node:https");

const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
const agent = new https.Agent({ keepAlive: true, ca: readFileSync(`${ACCOUNT}/ca.crt`) });

function get(path) {
  const headers = { authorization: `Bearer ${readFileSync(`${ACCOUNT}/token`, "utf8")}` };
  const host = process.env.KUBERNETES_SERVICE_HOST;
  const port = process.env.KUBERNETES_SERVICE_PORT;
  return new Promise((resolve, reject) => {
    https
      .get({ host, port, path, headers, agent }, response => {
        let text = "";
        response.setEncoding("utf8").on("data", part => (text += part));
        response.on("end", () =>
          response.statusCode === 200 ? resolve(JSON.parse(text)) : reject(new Error(`${path}: ${text}`)),
        );
      })
      .on("error", reject);
  });
}

const named = text => text.replace(/[^a-zA-Z0-9_]/g, "_");

function mapped(prefix, values) {
  return Object.fromEntries(
    Object.entries(values ?? {}).map(([key, value]) => [`__meta_kubernetes_${prefix}_${named(key)}`, value]),
  );
}

/** One target for each declared port, as Prometheus has it. */
function podTargets({ metadata, spec, status }) {
  if (status.podIP === undefined) return [];
  const owner = (metadata.ownerReferences ?? []).find(each => each.controller);
  const labels = {
    ...mapped("pod_label", metadata.labels),
    ...mapped("pod_annotation", metadata.annotations),
    __meta_kubernetes_namespace: metadata.namespace,
    __meta_kubernetes_pod_name: metadata.name,
    __meta_kubernetes_pod_ip: status.podIP,
    __meta_kubernetes_pod_phase: status.phase,
    __meta_kubernetes_pod_controller_kind: owner?.kind ?? "",
    __meta_kubernetes_pod_controller_name: owner?.name ?? "",
  };
  const all = [...(spec.initContainers ?? []), ...spec.containers];
  return all.flatMap(({ ports = [] }) =>
    ports.map(({ containerPort }) => ({
      targets: [`${status.podIP}:${containerPort}`],
      labels: { ...labels, __meta_kubernetes_pod_container_port_number: String(containerPort) },
    })),
  );
}

const PAGES = {
  "/pod": async () => (await get("/api/v1/pods")).items.flatMap(podTargets),
  "/node": async () =>
    (await get("/api/v1/nodes")).items.map(({ metadata, status }) => ({
      targets: [
        `${status.addresses.find(({ type }) => type === "InternalIP").address}:${status.daemonEndpoints.kubeletEndpoint.Port}`,
      ],
      labels: { __meta_kubernetes_node_name: metadata.name },
    })),
  "/endpoints": async () => {
    const { subsets } = await get("/api/v1/namespaces/default/endpoints/kubernetes");
    return subsets.flatMap(({ addresses, ports }) => ({
      targets: addresses.map(({ ip }) => `${ip}:${ports[0].port}`),
      labels: {
        __meta_kubernetes_namespace: "default",
        __meta_kubernetes_service_name: "kubernetes",
        __meta_kubernetes_endpoint_port_name: ports[0].name,
      },
    }));
  },
};

http
  .createServer((request, response) => {
    const url = new URL(request.url, "http://localhost");
    const namespace = url.searchParams.get("namespace");
    Promise.resolve(PAGES[url.pathname]?.() ?? Promise.reject(new Error("no such page"))).then(
      groups => {
        const kept = groups.filter(
          ({ labels }) => !namespace || labels.__meta_kubernetes_namespace === namespace,
        );
        response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(kept));
      },
      error => response.writeHead(500).end(String(error)),
    );
  })
  .listen(7071, "127.0.0.1");
