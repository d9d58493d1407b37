/** What an image is for. */
export type ImageRole =
  | "envoy"
  | "init"
  | "demo"
  | "mariadb"
  | "prometheus"
  | "nginx"
  | "zookeeper"
  | "controller"
  | "pause"
  | "coredns";

/** Pepr's controller as it is published; a bare `npx pepr deploy` asks for this one. */
export const PUBLISHED_CONTROLLER = "ghcr.io/defenseunicorns/pepr/controller:v1.1.4";

/**
 * The names of every image with tags, in one place. All that a cluster pulls come from `registry` (for example
 * `registry.example.org/mesh`); without one they have their published names.
 */
export function imageNames(registry: string | undefined): Readonly<Record<ImageRole, string>> {
  const place = registry ?? "docker.io/openservicemesh";
  return {
    // Envoy, the sidecar.
    envoy: `${place}/osm-pepr-envoy:v1.40.0`,
    // Writes the redirect rules of a pod.
    init: `${place}/osm-pepr-init:v1.0.0`,
    // The demo applications: `node /app/main.js <program>`.
    demo: `${place}/osm-pepr-demo:v1.0.0`,
    // MariaDB from Debian.
    mariadb: `${place}/osm-pepr-mariadb:v1.0.0`,
    // Prometheus from Debian; made where it is asked for.
    prometheus: `${place}/osm-pepr-prometheus:v1.0.0`,
    // nginx from Debian, a gateway into the mesh; made where it is asked for.
    nginx: `${place}/osm-pepr-nginx:v1.0.0`,
    // ZooKeeper from Debian; made where it is asked for.
    zookeeper: `${place}/osm-pepr-zookeeper:v1.0.0`,
    controller: registry === undefined ? PUBLISHED_CONTROLLER : `${place}/osm-pepr-controller:v1.1.4`,
    // Holds a pod's namespaces; embedded cluster only.
    pause: "localhost/osm-pepr-pause:1",
    // Cluster DNS; embedded cluster only.
    coredns: "localhost/osm-pepr-coredns:v1.12.4",
  };
}

/** The registry of a user's own cluster; the embedded one knows no registry, whatever `OSM_REGISTRY` says. */
const own = process.env["OSM_CLUSTER"] === "kubeconfig" ? process.env["OSM_REGISTRY"] : undefined;

/** The names on the cluster that `OSM_CLUSTER` selects. */
export const IMAGES = imageNames(own);
