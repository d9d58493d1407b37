/** The table: what is measured, what it is to be, and what two other control planes needed for the same. */
import {
  accessRule,
  endpoint,
  endpointBehindNoise,
  newService,
  scaleUp,
  splitWeight,
  type ChangeOf,
} from "./changes";

/** Milliseconds to the last proxy, CPU seconds, KiB to all proxies; what is not known is absent. */
export interface Figure {
  readonly ms?: number;
  readonly cpu?: number;
  readonly kib?: number;
}

/** One row. `osm` and `istiod` were measured on another run of a machine of this kind. */
export interface Cell {
  readonly key: string;
  readonly title: string;
  readonly change: ChangeOf;
  /** For 500 proxies, unless the row has a number of its own. */
  readonly goal?: Figure;
  readonly osm?: Figure;
  readonly istiod?: Figure;
}

const MIB = 1024;

/** With access rules in force: a proxy sees what it may call. */
export const RULES: readonly Cell[] = [
  {
    key: "endpoint",
    title: "endpoint",
    change: endpoint,
    goal: { ms: 30, cpu: 0.01, kib: 24 },
    osm: { ms: 3823, cpu: 2.8, kib: 10 * MIB },
    istiod: { ms: 106, cpu: 0.007, kib: 24 },
  },
  {
    key: "rule",
    title: "access rule added",
    change: accessRule,
    goal: { ms: 30, cpu: 0.01, kib: 50 },
    osm: { ms: 3991, cpu: 3.5, kib: 10 * MIB },
    istiod: { ms: 115, cpu: 0.018, kib: 908 },
  },
  {
    key: "split",
    title: "split weight",
    change: splitWeight,
    goal: { ms: 30, cpu: 0.01, kib: 50 },
    osm: { ms: 3711, cpu: 3.0, kib: 10 * MIB },
    istiod: { ms: 114, cpu: 0.043, kib: 569 },
  },
  {
    key: "service",
    title: "new service",
    change: newService,
    goal: { ms: 50, cpu: 0.02, kib: 150 },
    osm: { ms: 4060, cpu: 3.6, kib: 10.5 * MIB },
    istiod: { ms: 124, cpu: 0.026, kib: 721 },
  },
];

/** All see all. */
export const OPEN: readonly Cell[] = [
  {
    key: "endpoint",
    title: "endpoint",
    change: endpoint,
    goal: { ms: 66, cpu: 0.08, kib: 400 },
    osm: { ms: 5317, cpu: 5.2, kib: 129 * MIB },
    istiod: { ms: 133, cpu: 0.048, kib: 471 },
  },
  {
    key: "split",
    title: "split weight",
    change: splitWeight,
    goal: { ms: 80, cpu: 0.08, kib: MIB },
    osm: { ms: 5478, cpu: 5.2, kib: 129 * MIB },
    istiod: { ms: 400, cpu: 0.43, kib: 34 * MIB },
  },
  {
    key: "service",
    title: "new service",
    change: newService,
    goal: { ms: 120, cpu: 0.12, kib: 3 * MIB },
    osm: { ms: 12_423, cpu: 16.8, kib: 214 * MIB },
    istiod: { ms: 443, cpu: 0.46, kib: 35 * MIB },
  },
];

/** With access rules and 200 proxies: what else happens in a cluster must not be in the way. */
export const BUSY: readonly Cell[] = [
  {
    key: "noise",
    title: "endpoint behind 300 pod updates",
    change: endpointBehindNoise,
    goal: { ms: 50 },
    osm: { ms: 23_300, cpu: 0.85 },
    istiod: { ms: 105, cpu: 0.07 },
  },
  {
    key: "scale",
    title: "service scaled up by 100 pods",
    change: scaleUp,
    goal: { ms: 60 },
    osm: { ms: 20_000, cpu: 1.08 },
    istiod: { ms: 106, cpu: 0.081 },
  },
];

/** First sync of 500 proxies, and resident memory after it, MiB; by mode. */
export const FIRST = {
  rules: {
    sync: { goal: { ms: 2_000, cpu: 2 }, osm: { ms: 6_720, cpu: 11.3 }, istiod: { ms: 720, cpu: 0.8 } },
    memory: { goal: 200, osm: 302, istiod: 189 },
  },
  open: {
    sync: { goal: { ms: 3_000, cpu: 3 }, osm: { ms: 25_680, cpu: 41 }, istiod: { ms: 2_090, cpu: 3.2 } },
    memory: { goal: 250, osm: 463, istiod: 782 },
  },
} as const;

/** Exponent of CPU with the number of proxies while the affected ones are as many as before. */
export const GROWTH = { goal: 0.2, osm: 1.4, istiod: 0.33 } as const;
