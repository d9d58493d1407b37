import type { LiveDeployment } from "../../install/deployments";
import { sizedDeployment } from "../../install/deployments";
import { MANAGER_PEPR, MODULE, WATCHER } from "../../install/names";
import { PEPR_NAMESPACE } from "../../model/mesh-words";
import type { InstallObject } from "../../install/object";
import { objectPath } from "../../install/object";
import type { KubeClient, KubeObject } from "../kube";
import { isConflict } from "../kube/errors";
import { getIfThere } from "../kube/read";
import type { KeptObject } from "../ownership";
import { applyObject } from "../ownership";
import type { Settings } from "../settings";

function keptDeployment(name: string, settings: Settings): KeptObject {
  const object = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace: PEPR_NAMESPACE },
  };
  return {
    object,
    // One that is gone was uninstalled: only a deploy brings it back.
    correction: live => {
      if (live === undefined) return undefined;
      const sized = sizedDeployment(live as LiveDeployment, settings.podSize);
      return sized === undefined ? undefined : { object: sized, manager: MANAGER_PEPR };
    },
  };
}

/**
 * Gives the Deployments their size before anything else is done: a first start that is too slow for Pepr's own probes is
 * then the last one. Where there is nothing to change, or no Deployment, nothing happens.
 */
export async function sizeAtStart(kube: KubeClient, settings: Settings): Promise<void> {
  for (const kept of keptDeployments(settings)) while (!(await sizeOnce(kube, kept)));
}

/** False when somebody else changed it meanwhile: what was read counts for nothing then. */
async function sizeOnce(kube: KubeClient, { object, correction }: KeptObject): Promise<boolean> {
  const live = await getIfThere<InstallObject & KubeObject>(kube, objectPath(object));
  const owned = correction(live);
  if (owned === undefined) return true;
  try {
    await applyObject(kube, owned);
    return true;
  } catch (error) {
    if (isConflict(error)) return false;
    throw error;
  }
}

/** The control plane's own Deployments, whose size Pepr does not let a module choose. */
export function keptDeployments(settings: Settings): readonly KeptObject[] {
  return [keptDeployment(MODULE, settings), keptDeployment(WATCHER, settings)];
}
