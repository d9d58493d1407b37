import type { LiveDeployment } from "../../install/deployments";
import { sizedDeployment } from "../../install/deployments";
import { ADMISSION_PODS, MANAGER_PEPR, MODULE, WATCHER, WATCHER_PODS } from "../../install/names";
import { PEPR_NAMESPACE } from "../../model/mesh-words";
import type { KeptObject } from "../ownership";
import type { Settings } from "../settings";

function keptDeployment(
  name: string,
  settings: Settings,
  labels: Readonly<Record<string, string>>,
): KeptObject {
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
      const sized = sizedDeployment(live as LiveDeployment, settings.podSize, labels);
      return sized === undefined ? undefined : { object: sized, manager: MANAGER_PEPR };
    },
  };
}

/** The control plane's own Deployments, whose size Pepr does not let a module choose. */
export function keptDeployments(settings: Settings): readonly KeptObject[] {
  return [keptDeployment(MODULE, settings, ADMISSION_PODS), keptDeployment(WATCHER, settings, WATCHER_PODS)];
}
