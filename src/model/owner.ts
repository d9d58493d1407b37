/** What runs a pod, as people know it: its Deployment, DaemonSet or Job, or itself where nothing does. */
export interface Owner {
  /** Kind as Kubernetes writes it, like `Deployment`; `Pod` for a pod on its own. */
  readonly kind: string;
  readonly name: string;
}

/** One end of a request, as requests are counted by (OSM's labels `source_*` and `destination_*`). */
export interface Party extends Owner {
  readonly namespace: string;
  /** Name of the pod. */
  readonly pod: string;
}

/** The facts of a pod that {@link controllerOf} reads, as they stand in its metadata. */
export interface OwnedPod {
  readonly labels: Readonly<Record<string, string>>;
  /** `kind` and `name` of the owner reference with `controller: true`; undefined: it has none. */
  readonly controller: Owner | undefined;
}

/** What owner references hold is not checked by the API server; all real names are like this. */
const PLAIN = /^[A-Za-z0-9][-A-Za-z0-9._]{0,252}$/;

/**
 * The controller of a pod, a Deployment rather than the ReplicaSet that it has made for one template; undefined when there
 * is none, or its kind or name is none that Kubernetes would take.
 */
export function controllerOf({ labels, controller }: OwnedPod): Owner | undefined {
  if (controller === undefined || !PLAIN.test(controller.kind) || !PLAIN.test(controller.name))
    return undefined;
  const { kind, name } = controller;
  const hash = labels["pod-template-hash"] ?? "";
  const template = `-${hash}`;
  if (kind !== "ReplicaSet" || hash === "" || !name.endsWith(template) || name === template)
    return { kind, name };
  return { kind: "Deployment", name: name.slice(0, -template.length) };
}
