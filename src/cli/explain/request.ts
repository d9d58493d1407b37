/** What is asked, and the answer. */
import type { Outcome, Possibility } from "../../policy/decide";

/** A question to the mesh. */
export interface ExplainRequest {
  /** A caller, see {@link "./callers"}. */
  readonly from: string;
  /** A destination, see {@link "./destinations"}. */
  readonly to: string;
  /** Of names without one; default: of the destination, the caller's. */
  readonly namespace: string;
  /** What DNS answers for the destination; default: what the objects say. */
  readonly address?: string;
  /** Default GET. */
  readonly method?: string;
  /** Default that of the URL, else `/`. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A part of an object. */
export interface Decider {
  /** `Kind namespace/name`. */
  readonly object: string;
  /** Path of the field that says so; absent: the object as a whole. */
  readonly field?: string;
}

/** One thing that is looked at on the way. */
export interface Step {
  readonly at:
    | "sidecar"
    | "outbound"
    | "route"
    | "split"
    | "backend"
    | "identity"
    | "access"
    | "egress"
    | "inbound"
    /** What is not judged: faults, retries, limits. */
    | "terms";
  readonly text: string;
}

/** One way in which a call can go. */
export interface Case {
  /** Share of all calls that are like this, over 0, at most 1. */
  readonly share: number;
  readonly outcome: Outcome;
  readonly reached: boolean;
  /** What the application sees, in words. */
  readonly sees: string;
  /** Absent: no answer of HTTP by a proxy. */
  readonly status?: number;
  /** Envoy's response flag in the caller's access log; absent: none. */
  readonly flag?: string;
  /** `namespace/name` of the pod that is reached or asked, where it is known. */
  readonly pod?: string;
  /** Pods that call like this, where not all do. */
  readonly from?: readonly string[];
  readonly steps: readonly Step[];
  /** What decides, most telling first. */
  readonly decides: readonly Decider[];
  /** What came nearest to letting it through. */
  readonly nearest?: string;
}

/** The answer. */
export interface Explanation {
  readonly from: string;
  readonly to: string;
  /** The request in one line. */
  readonly request: string;
  /** `partly`: some ways lead there, some do not. */
  readonly verdict: "delivered" | "refused" | "partly";
  /** The answer in one sentence. */
  readonly summary: string;
  /** The most likely first. */
  readonly cases: readonly Case[];
  /** Requests of the caller that something lets through, where it was refused one; empty: none, or not known. */
  readonly granted: readonly string[];
  /** What was assumed. */
  readonly notes: readonly string[];
}

/** A decision's end, whichever of its possibilities. */
export type End = Omit<Possibility, "share" | "cluster"> & { readonly cluster?: string };
