/** An object as it arrives in an admission request or in a watch. */
export type AdmittedObject = Readonly<Record<string, unknown>>;

/** A pod that somebody wants to create. */
export interface PodRequest {
  readonly pod: AdmittedObject;
  readonly namespace: string;
  /** Unique per admission request. */
  readonly uid: string;
}

/** What happens to a new pod. */
export type PodVerdict =
  | { readonly kind: "inject"; readonly pod: AdmittedObject }
  /** It stays as it is. */
  | { readonly kind: "leave" }
  /** It must not start; the reason names the field or annotation that is wrong. */
  | { readonly kind: "refuse"; readonly reason: string };

/** Sentences for the owner of a custom object, each naming the field it is about. */
export interface Judgement {
  /** Empty: the object is accepted. */
  readonly faults: readonly string[];
  readonly warnings: readonly string[];
}

/** Which custom object is meant. */
export interface ObjectName {
  /** Kind as written in manifests, like `TrafficTarget`. */
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/**
 * What the control plane does when Pepr calls. Nothing here calls the API server before it returns, so an admission
 * request costs microseconds and a reconcile never holds up the events behind it.
 */
export interface MeshActions {
  /** Decides about a new pod. May wait, for at most two seconds, for news of its namespace. */
  admitPod(request: PodRequest): Promise<PodVerdict>;
  /** What its owner has to know of a custom object before it is stored; `before`: what an update changes. */
  judge(kind: string, object: AdmittedObject, before?: AdmittedObject): Judgement;
  /** A level trigger: look at this object again soon and write what follows (status, defaults). Returns at once. */
  reconcile(object: ObjectName): void;
  /** A minute has passed: renew what is due. Never rejects. */
  tick(): Promise<void>;
}

const unavailable = (): never => {
  throw new Error("the control plane is not started in build mode");
};

/** Stands in when the command line only reads which bindings there are. */
export const NO_ACTIONS: MeshActions = {
  admitPod: unavailable,
  judge: unavailable,
  reconcile: unavailable,
  tick: unavailable,
};
