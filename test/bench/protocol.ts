/** Messages between the processes of the benchmark. Times are of the machine's monotonic clock, milliseconds. */

/** Milliseconds of a clock that all processes of this machine share. */
export function monotonic(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** To the control-plane process. */
export type ToController =
  | { readonly kind: "start"; readonly server: string; readonly ca: string; readonly token: string }
  | { readonly kind: "stats" };

/** What the control plane has used and done since it started. */
export interface ControllerStats {
  readonly cpuSeconds: number;
  readonly rssMegabytes: number;
  readonly bytes: number;
  readonly responses: number;
  readonly encodes: number;
  readonly streams: number;
  readonly synced: number;
  readonly pods: number;
}

/** From the control-plane process. */
export type FromController =
  | { readonly kind: "started"; readonly port: number; readonly root: string }
  | { readonly kind: "stats"; readonly stats: ControllerStats };

/** To a fleet of simulated proxies. */
export type ToFleet =
  | {
      readonly kind: "connect";
      readonly address: string;
      readonly root: string;
      readonly tokens: readonly string[];
    }
  /** Answers `done` when that many proxies of the fleet (absent: every one) have acknowledged a response of that type. */
  | { readonly kind: "expect"; readonly typeUrl: string; readonly proxies?: number }
  | { readonly kind: "keep"; readonly proxies: number };

/** From a fleet. */
export type FromFleet =
  | { readonly kind: "configured" }
  | { readonly kind: "armed" }
  | { readonly kind: "kept" }
  | { readonly kind: "done"; readonly first: number; readonly last: number };
