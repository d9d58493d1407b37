import { fieldsOf } from "../../api/field";
import { CA_SECRET_NAME } from "../../model/mesh-words";
import type { KubeClient } from "../../runtime/kube";
import { isNotFound } from "../../runtime/kube/errors";
import { ownRootsText } from "../../runtime/secrets/own-authority";
import { CommandError } from "../failure";
import type { FoundMesh } from "../mesh-found";

/** Whether a version such as `1.2.3` is below another; false where one of them is none. */
export function isOlder(version: string, than: string): boolean {
  const [a, b] = [version, than].map(text => /^v?(\d+)\.(\d+)\.(\d+)/.exec(text)?.slice(1).map(Number));
  if (a === undefined || b === undefined) return false;
  const at = a.findIndex((part, n) => part !== b[n]);
  return at >= 0 && (a[at] ?? 0) < (b[at] ?? 0);
}

/** The built-in root's key is elsewhere: a key here is that of another root, which is trusted, issues, or will. */
function hasOtherRoot(record: string): boolean {
  try {
    return Object.keys(fieldsOf(fieldsOf(JSON.parse(record) as unknown)["keys"])).length > 0;
  } catch {
    // What a later release writes need not be known here; that it is there means a rotation.
    return true;
  }
}

/**
 * Refuses to go back to an older version once the control plane has another root than the built-in one (record 0050): a release
 * that does not know the record would present the built-in one, which no sidecar trusts. Rejects with {@link CommandError}.
 */
export async function refuseDowngrade(
  kube: KubeClient,
  { namespace, version }: FoundMesh,
  to: string,
): Promise<void> {
  if (!isOlder(to, version)) return;
  let text: string | undefined;
  try {
    text = ownRootsText(await kube.get<object>(`/api/v1/namespaces/${namespace}/secrets/${CA_SECRET_NAME}`));
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  if (text === undefined || !hasOtherRoot(text)) return;
  throw new CommandError(
    `mesh of version ${version} cannot go back to ${to}: the control plane's root has been rotated, and sidecars would not trust what an older version presents`,
  );
}
