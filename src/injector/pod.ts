/**
 * The parts of a Pod that injection reads or writes, as plain JSON. Every other field is carried through untouched, so
 * the types name only what is used.
 */

/** A JSON object whose other fields are carried along. */
export interface JsonObject {
  readonly [field: string]: unknown;
}

/** String map of labels or annotations. */
export type StringMap = Readonly<Record<string, string>>;

/** `httpGet` of a probe or a lifecycle hook. */
export interface HttpGetAction extends JsonObject {
  readonly path?: string;
  readonly port: number | string;
  readonly host?: string;
  readonly scheme?: string;
  readonly httpHeaders?: readonly { readonly name: string; readonly value: string }[];
}

/** `tcpSocket` of a probe. */
export interface TcpSocketAction extends JsonObject {
  readonly port: number | string;
  readonly host?: string;
}

/** `grpc` of a probe; the port cannot be a name. */
export interface GrpcAction extends JsonObject {
  readonly port: number;
  readonly service?: string;
}

/** What a probe or hook does; at most one of the three is set (or `exec`, which never leaves the container). */
export interface Handler extends JsonObject {
  readonly httpGet?: HttpGetAction;
  readonly tcpSocket?: TcpSocketAction;
  readonly grpc?: GrpcAction;
}

/** A probe: a handler and its timing. */
export interface Probe extends Handler {
  /** Seconds; Kubernetes' default is 1. */
  readonly timeoutSeconds?: number;
}

/** A declared container port. */
export interface ContainerPort extends JsonObject {
  readonly name?: string;
  readonly containerPort: number;
  readonly protocol?: string;
}

/** Where a container mounts a volume. */
export interface VolumeMount extends JsonObject {
  readonly name: string;
  readonly mountPath: string;
}

/** An environment variable; `value` is absent when it comes from elsewhere. */
export interface EnvVar extends JsonObject {
  readonly name: string;
  readonly value?: string;
}

/** A container of either list of a pod. */
export interface Container extends JsonObject {
  readonly name: string;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly EnvVar[];
  readonly ports?: readonly ContainerPort[];
  readonly resources?: ContainerResources;
  readonly volumeMounts?: readonly VolumeMount[];
  readonly securityContext?: SecurityContext;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
  readonly startupProbe?: Probe;
  readonly lifecycle?: Lifecycle;
  /** `Always` on an init container makes it a native sidecar (Kubernetes 1.29). */
  readonly restartPolicy?: string;
}

/** Hooks that the kubelet runs around a container's life. */
export interface Lifecycle extends JsonObject {
  readonly postStart?: Handler;
  readonly preStop?: Handler;
}

/** Resource requirements; quantities as written. */
export interface ContainerResources extends JsonObject {
  readonly limits?: StringMap;
  readonly requests?: StringMap;
}

/** Security context of pod or container. */
export interface SecurityContext extends JsonObject {
  readonly runAsUser?: number;
}

/** A pod volume. */
export interface Volume extends JsonObject {
  readonly name: string;
}

/** Pod spec. */
export interface PodSpec extends JsonObject {
  readonly containers?: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly Volume[];
  readonly hostNetwork?: boolean;
  readonly os?: { readonly name?: string };
  readonly nodeSelector?: StringMap;
  readonly serviceAccountName?: string;
  readonly securityContext?: SecurityContext;
}

/** Pod metadata. */
export interface PodMetadata extends JsonObject {
  readonly name?: string;
  readonly generateName?: string;
  readonly labels?: StringMap;
  readonly annotations?: StringMap;
  readonly ownerReferences?: readonly {
    readonly kind: string;
    readonly name: string;
    readonly controller?: boolean;
  }[];
}

/** A Pod as JSON. */
export interface PodJson extends JsonObject {
  readonly metadata?: PodMetadata;
  readonly spec?: PodSpec;
}

/** The two lists of a pod spec that hold containers. */
export const CONTAINER_LISTS = ["initContainers", "containers"] as const;
/** One of {@link CONTAINER_LISTS}. */
export type ContainerList = (typeof CONTAINER_LISTS)[number];

/** The containers of one list; a missing list is empty. */
export function containersOf(pod: PodJson, list: ContainerList): readonly Container[] {
  return pod.spec?.[list] ?? [];
}

/** A container and where it stands. */
export interface LocatedContainer {
  readonly list: ContainerList;
  readonly container: Container;
  /** Field path, like `spec.containers[0]`. */
  readonly field: string;
}

/** Every container of a pod, init containers first. */
export function* everyContainer(pod: PodJson): Generator<LocatedContainer> {
  for (const list of CONTAINER_LISTS) {
    for (const [index, container] of containersOf(pod, list).entries()) {
      yield { list, container, field: `spec.${list}[${index}]` };
    }
  }
}

/** A copy of `object` without the named fields. */
export function without<T extends JsonObject>(object: T, ...fields: readonly string[]): T {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !fields.includes(key))) as T;
}
