import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parse, parseAllDocuments, stringify } from "yaml";
import { PEPR_NAMESPACE } from "../../../src/model/mesh-words";
import { readPage } from "../../support/guide-page";
import type { Mesh } from "./mesh";

interface Named {
  readonly metadata: { readonly name: string; readonly namespace: string };
}

/** Objects of docs/guides/dashboard.md, under a name of their own and for the accounts of one namespace. */
function guideObjects(name: string, namespace: string): readonly object[] {
  const block = readPage("docs/guides/dashboard.md").blocks.find(({ text }) =>
    text.startsWith("# viewers.yaml"),
  );
  const documents = parseAllDocuments((block?.text ?? "").replaceAll("osm-viewers", name));
  return documents.map(document => {
    const object = document.toJS() as Named & { readonly subjects?: readonly object[] };
    if (object.subjects === undefined) return object;
    const subjects = object.subjects.map(one => ({ ...one, name: `system:serviceaccounts:${namespace}` }));
    return { ...object, subjects };
  });
}

/** Somebody who has the Role of the dashboard's guide, and no other right. */
export class Viewer {
  private readonly folder = mkdtempSync(path.join(os.tmpdir(), "osm-viewer-"));
  /** Path of his kubeconfig. */
  public readonly kubeconfig = path.join(this.folder, "config");

  private constructor(
    private readonly mesh: Mesh,
    private readonly name: string,
  ) {}

  /** He is the default ServiceAccount of a namespace. */
  public static async create(mesh: Mesh, namespace: string): Promise<Viewer> {
    const viewer = new Viewer(mesh, `osm-viewers-${namespace}`);
    const items = guideObjects(viewer.name, namespace);
    if (items.length !== 2)
      throw new Error("docs/guides/dashboard.md: no Role and RoleBinding in # viewers.yaml");
    await mesh.kubectl.must(["apply", "-f", "-"], JSON.stringify({ apiVersion: "v1", kind: "List", items }));
    const token = (await mesh.kubectl.must(["-n", namespace, "create", "token", "default"])).trim();
    const config = parse(readFileSync(mesh.cluster.kubeconfig, "utf8")) as {
      users: { name: string; user: object }[];
    };
    const users = config.users.map(({ name }) => ({ name, user: { token } }));
    writeFileSync(viewer.kubeconfig, stringify({ ...config, users }), { mode: 0o600 });
    return viewer;
  }

  /** Takes his rights away. */
  public async loseRights(): Promise<void> {
    const both = ["role", "rolebinding"].map(kind => `${kind}/${this.name}`);
    await this.mesh.kubectl.must(["-n", PEPR_NAMESPACE, "delete", "--ignore-not-found", ...both]);
  }

  public async remove(): Promise<void> {
    await this.loseRights();
    rmSync(this.folder, { recursive: true });
  }
}
