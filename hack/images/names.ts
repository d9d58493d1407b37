/**
 * The names of every image, in one place. `OSM_REGISTRY` (for example `registry.example.org/mesh`) replaces
 * `docker.io/openservicemesh` for a person with a registry and a cluster of their own.
 */
const registry = process.env["OSM_REGISTRY"] ?? "docker.io/openservicemesh";

/** Full names with tags, by role. */
export const IMAGES = {
  /** Envoy, the sidecar. */
  envoy: `${registry}/osm-pepr-envoy:v1.40.0`,
  /** Writes the redirect rules of a pod. */
  init: `${registry}/osm-pepr-init:v1.0.0`,
  /** The demo applications: `node /app/main.js <program>`. */
  demo: `${registry}/osm-pepr-demo:v1.0.0`,
  /** MariaDB from Debian. */
  mariadb: `${registry}/osm-pepr-mariadb:v1.0.0`,
  /** Pepr's controller, under its published name because `npx pepr deploy` asks for that one. */
  controller: "ghcr.io/defenseunicorns/pepr/controller:v1.1.4",
  /** Holds a pod's namespaces; embedded cluster only. */
  pause: "localhost/osm-pepr-pause:1",
  /** Cluster DNS; embedded cluster only. */
  coredns: "localhost/osm-pepr-coredns:v1.12.4",
} as const;

/** A role in {@link IMAGES}. */
export type ImageRole = keyof typeof IMAGES;
