import { createHash } from "node:crypto";
import os from "node:os";
import path from "node:path";

/** Versions of everything the embedded cluster is made of; a change here makes new cached artefacts. */
export const VERSIONS = {
  kubernetes: "v1.34.4",
  coredns: "v1.12.4",
  helm: "v3.19.0",
  certManager: "v1.11.5",
  vault: "v1.14.1",
  collector: "v0.155.0",
  prometheusOperator: "v0.85.0",
  crane: "v0.20.6",
} as const;

/** Name of the cluster that the demo and the test ladder share. */
const DEFAULT_CLUSTER_NAME = "osm-pepr";

/** Longest path Linux accepts for a unix socket, less the names that are put below the state folder. */
const LONGEST_STATE_PATH = 72;

/** The last of the network indexes; there are as many clusters beside each other at most. */
export const HIGHEST_INDEX = 19;

/** Name of this machine's end of the link to the cluster with this network index. */
export function hostLinkOf(index: number): string {
  return `osmh${index}`;
}

/** Where one embedded cluster lives: its name, its folders and its networks. Two names share none of them, unless their
 * networks get the same index by chance: `up` refuses that then, and `OSM_CLUSTER_INDEX` chooses another. */
export interface ClusterSettings {
  readonly name: string;
  /** The one folder with all state of this cluster. */
  readonly state: string;
  /** Folder with slow artefacts (binaries, image archives) that survive `down`. */
  readonly cache: string;
  /** 0–19; selects the networks below. */
  readonly index: number;
  /** Path of the network namespace, for `nsenter --net=`. */
  readonly netns: string;
  /** Address of this machine on the link to the cluster. */
  readonly hostAddress: string;
  /** Address of the node and the API server on that link. */
  readonly nodeAddress: string;
  readonly hostLink: string;
  readonly nodeLink: string;
  readonly podCidr: string;
  readonly serviceCidr: string;
  /** First address of {@link serviceCidr}: the API server inside the cluster. */
  readonly apiServiceAddress: string;
  readonly dnsAddress: string;
  readonly podCidr6: string;
  readonly serviceCidr6: string;
  readonly hostAddress6: string;
  readonly nodeAddress6: string;
}

/** Folder of slow artefacts: `OSM_CACHE`, by default `~/.cache/osm-pepr`. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return env["OSM_CACHE"] ?? path.join(os.homedir(), ".cache", "osm-pepr");
}

/** Repository root, from which `hack/kube` and the Dockerfiles are found. */
export function repositoryRoot(): string {
  return path.resolve(__dirname, "..", "..");
}

function indexOf(name: string, env: NodeJS.ProcessEnv): number {
  const wanted = env["OSM_CLUSTER_INDEX"];
  if (wanted !== undefined) {
    const index = Number(wanted);
    if (!Number.isInteger(index) || index < 0 || index > HIGHEST_INDEX)
      throw new Error(`OSM_CLUSTER_INDEX must be 0 to ${HIGHEST_INDEX}`);
    return index;
  }
  if (name === DEFAULT_CLUSTER_NAME) return 0;
  return 1 + (createHash("sha256").update(name).digest().readUInt16BE(0) % HIGHEST_INDEX);
}

/**
 * Settings of the cluster that the environment names: `OSM_CLUSTER_NAME` (default `osm-pepr`), `OSM_STATE` (default a
 * folder in the cache), `OSM_CLUSTER_INDEX` (default from the name).
 *
 * Throws when the name or the length of the state folder cannot work.
 */
export function clusterSettings(env: NodeJS.ProcessEnv = process.env): ClusterSettings {
  const name = env["OSM_CLUSTER_NAME"] ?? DEFAULT_CLUSTER_NAME;
  // The name is that of control groups and of a network namespace, all of which `down` ends: never one like "docker".
  if (!/^osm-[a-z0-9-]{1,26}$/.test(name)) {
    throw new Error(`OSM_CLUSTER_NAME "${name}": osm- and then lower-case letters, digits and dashes only`);
  }
  const cache = cacheFolder(env);
  const folder = name === DEFAULT_CLUSTER_NAME ? "cluster" : `cluster-${name}`;
  const state = path.resolve(env["OSM_STATE"] ?? path.join(cache, folder));
  if (state.length > LONGEST_STATE_PATH) {
    throw new Error(
      `state folder ${state} is longer than ${LONGEST_STATE_PATH} characters: set OSM_STATE shorter`,
    );
  }
  const index = indexOf(name, env);
  return {
    name,
    state,
    cache,
    index,
    netns: `/run/netns/${name}`,
    hostAddress: `10.140.${index}.1`,
    nodeAddress: `10.140.${index}.2`,
    hostLink: hostLinkOf(index),
    nodeLink: `osmn${index}`,
    podCidr: `10.${100 + index}.0.0/16`,
    serviceCidr: `10.${120 + index}.0.0/16`,
    apiServiceAddress: `10.${120 + index}.0.1`,
    dnsAddress: `10.${120 + index}.0.10`,
    podCidr6: `fd00:0:0:${100 + index}::/64`,
    serviceCidr6: `fd00:0:0:${120 + index}::/112`,
    hostAddress6: `fd00:0:0:${140 + index}::1`,
    nodeAddress6: `fd00:0:0:${140 + index}::2`,
  };
}
