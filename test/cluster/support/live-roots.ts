import { until } from "../../../hack/cluster/progress";
import type { RotationState } from "../../../src/certificate/root-rotation";
import { parseRotation } from "../../../src/certificate/rotation-record";
import { WATCHER } from "../../../src/install/names";
import { CA_SECRET_NAME, DEFAULT_OSM_NAMESPACE, PEPR_NAMESPACE } from "../../../src/model/mesh-words";
import { createRoot } from "../../../src/runtime/secrets/authority";
import type { KubeObject } from "../../../src/runtime/kube";
import { isNotFound } from "../../../src/runtime/kube/errors";
import type { Mesh } from "./mesh";
import { processesOf, signal } from "./pod-processes";

const SECRETS = `/api/v1/namespaces/${DEFAULT_OSM_NAMESPACE}/secrets`;
const ROOTS = `/apis/config.openservicemesh.io/v1alpha2/namespaces/${DEFAULT_OSM_NAMESPACE}/meshrootcertificates`;
const ROLES = `/apis/rbac.authorization.k8s.io/v1/namespaces/${DEFAULT_OSM_NAMESPACE}`;
/** A rotation takes some ten seconds; the machine may be busy, milliseconds. */
const LONG_MS = 180_000;

/** A MeshRootCertificate as its owner reads it. */
export interface RootView extends KubeObject {
  readonly status?: {
    readonly state?: string;
    readonly progress?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

interface SecretView extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

/** What a MeshRootCertificate says. */
interface RootSpec {
  readonly trustDomain: string;
  readonly role: "active" | "passive";
  readonly provider: object;
}

/** A new CA that lives for ten years from a moment, epoch milliseconds, as a Secret has it. */
export function secretWithCa(born: number): Readonly<Record<string, string>> {
  const { certPem, keyPem } = createRoot(born);
  return { "ca.crt": certPem, "private.key": keyPem };
}

/** A MeshRootCertificate of the real mesh with its CA in a Secret, and the one process that rotates. */
export class LiveRoots {
  private constructor(
    private readonly mesh: Mesh,
    private readonly name: string,
  ) {}

  /** Puts a new CA into a Secret, with the right to read it, and makes a MeshRootCertificate of it, active by default. */
  public static create(
    mesh: Mesh,
    name: string,
    trustDomain: string,
    role: "active" | "passive" = "active",
  ): Promise<LiveRoots> {
    const provider = { tresor: { ca: { secretRef: { name, namespace: DEFAULT_OSM_NAMESPACE } } } };
    return LiveRoots.of(mesh, name, { trustDomain, role, provider, secret: secretWithCa(Date.now()) });
  }

  /** A MeshRootCertificate of any provider, the Secret of its name, and the right to read that. */
  public static async of(
    mesh: Mesh,
    name: string,
    { secret, ...spec }: RootSpec & { readonly secret: Readonly<Record<string, string>> },
  ): Promise<LiveRoots> {
    const roots = new LiveRoots(mesh, name);
    const metadata = { name, namespace: DEFAULT_OSM_NAMESPACE };
    const data = Object.fromEntries(
      Object.entries(secret).map(([key, text]) => [key, Buffer.from(text).toString("base64")]),
    );
    await roots.make(SECRETS, { apiVersion: "v1", kind: "Secret", metadata, type: "Opaque", data });
    const group = "rbac.authorization.k8s.io";
    const rules = [{ apiGroups: [""], resources: ["secrets"], resourceNames: [name], verbs: ["get"] }];
    await roots.make(`${ROLES}/roles`, { apiVersion: `${group}/v1`, kind: "Role", metadata, rules });
    await roots.make(`${ROLES}/rolebindings`, {
      apiVersion: `${group}/v1`,
      kind: "RoleBinding",
      metadata,
      roleRef: { apiGroup: group, kind: "Role", name },
      subjects: [{ kind: "ServiceAccount", name: "pepr-osm", namespace: PEPR_NAMESPACE }],
    });
    await roots.make(ROOTS, {
      apiVersion: "config.openservicemesh.io/v1alpha2",
      kind: "MeshRootCertificate",
      metadata,
      spec,
    });
    return roots;
  }

  private make(path: string, object: object): Promise<unknown> {
    return this.mesh.api.create(path, object as KubeObject);
  }

  /** The object itself. */
  public get(): Promise<RootView> {
    return this.mesh.api.get<RootView>(`${ROOTS}/${this.name}`);
  }

  /** Changes its role. */
  public async become(role: "active" | "passive" | "inactive"): Promise<void> {
    await this.mesh.api.mergePatch(`${ROOTS}/${this.name}`, { spec: { role } });
  }

  /** The persisted rotation; undefined: there has been none. */
  public static async record(mesh: Mesh): Promise<RotationState | undefined> {
    const { data } = await mesh.api.get<SecretView>(`${SECRETS}/${CA_SECRET_NAME}`);
    const text = data?.["rotation.json"];
    return text === undefined ? undefined : parseRotation(Buffer.from(text, "base64").toString("utf8"));
  }

  /** Waits until one root alone is left, and it is this one's or, for undefined, the built-in one. */
  public alone(
    owner: string | undefined,
    look: (state: RotationState) => Promise<void>,
  ): Promise<RotationState> {
    return until(`the root of ${owner ?? "the mesh"} alone`, LONG_MS, async () => {
      const state = await LiveRoots.record(this.mesh);
      if (state === undefined) return undefined;
      await look(state);
      return state.roots.length === 1 && state.roots[0]?.owner === owner ? state : undefined;
    });
  }

  /** Waits until the object says that it has come to its end with a state like `issuing`. */
  public async says(state: string): Promise<RootView> {
    return until(`the root to be ${state}`, LONG_MS, async () => {
      const root = await this.get();
      return root.status?.state === state && root.status.progress === "Settled." ? root : undefined;
    });
  }

  /** Takes all of it away; what was never made is passed by. */
  public remove(): Promise<void> {
    return LiveRoots.removeAll([this]);
  }

  /**
   * Takes several away. Wherever the rotation is, it leads back to the built-in root first, or whoever comes next would find a mesh
   * whose root nobody can issue from; and that it does only when none of them is left.
   */
  public static async removeAll(all: readonly LiveRoots[]): Promise<void> {
    for (const roots of all) await roots.delete(ROOTS);
    const [first] = all;
    if (first === undefined) return;
    await until("the way back to the built-in root", LONG_MS, async () => {
      const [root, ...others] = (await LiveRoots.record(first.mesh))?.roots ?? [];
      return root?.owner === undefined && others.length === 0;
    });
    for (const roots of all)
      for (const place of [`${ROLES}/rolebindings`, `${ROLES}/roles`, SECRETS]) await roots.delete(place);
  }

  private async delete(place: string): Promise<void> {
    await this.mesh.api.delete(`${place}/${this.name}`).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  }
}

/**
 * Kills the processes of the single writer as a fault would, without a word to them, and deletes what is left of its pod:
 * the kubelet would wait longer each time before it starts the same pod again.
 */
export async function killWriter(mesh: Mesh): Promise<void> {
  const pods = await mesh.controlPlane(WATCHER);
  for (const { metadata } of pods) {
    for (const pid of processesOf(metadata.uid)) signal(pid, "SIGKILL");
    const now = ["--grace-period=0", "--force", "--wait=false"];
    await mesh.kubectl.must(["-n", PEPR_NAMESPACE, "delete", "pod", metadata.name, ...now]);
  }
}
