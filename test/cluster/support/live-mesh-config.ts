import { DEFAULT_OSM_NAMESPACE, MESH_CONFIG_NAME } from "../../../src/model/mesh-words";
import type { Mesh } from "./mesh";

const PLACE = ["-n", DEFAULT_OSM_NAMESPACE, "meshconfig", MESH_CONFIG_NAME];

/** The mesh's MeshConfig while a test changes it. */
export class LiveMeshConfig {
  private constructor(
    private readonly mesh: Mesh,
    private readonly original: object,
  ) {}

  /** Remembers what it says now. */
  public static async of(mesh: Mesh): Promise<LiveMeshConfig> {
    const { spec } = await mesh.kubectl.json<{ spec: object }>(["get", ...PLACE]);
    return new LiveMeshConfig(mesh, spec);
  }

  /** Merges a change into its spec; throws when it is refused. */
  public async patch(spec: object): Promise<void> {
    await this.mesh.kubectl.must(["patch", ...PLACE, "--type=merge", "-p", JSON.stringify({ spec })]);
  }

  /** Puts back what was remembered. */
  public async restore(): Promise<void> {
    const patch = [{ op: "replace", path: "/spec", value: this.original }];
    await this.mesh.kubectl.must(["patch", ...PLACE, "--type=json", "-p", JSON.stringify(patch)]);
  }
}
