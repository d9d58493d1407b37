import type { Kubectl } from "./kubectl";
import { MESH_CONFIG_PLACE } from "./control-plane";
import { DEMO_LABEL, DEMO_NAME } from "./manifests";

function choose(kubectl: Kubectl): readonly string[] {
  if (kubectl.context !== undefined) return [`kubectl config use-context ${kubectl.context}`];
  return kubectl.kubeconfig === undefined ? [] : [`export KUBECONFIG=${kubectl.kubeconfig}`];
}

/** Commands to look further with while the demo's namespaces are there. */
export function lookFurther(kubectl: Kubectl): readonly string[] {
  return [
    "To look further:",
    ...choose(kubectl),
    `kubectl get pods -A -l ${DEMO_LABEL}=${DEMO_NAME} -o wide`,
    "kubectl -n bookbuyer logs deployment/bookbuyer -c bookbuyer",
    "kubectl -n bookstore logs deployment/bookstore-v1 -c envoy",
    `kubectl edit ${MESH_CONFIG_PLACE}`,
    "kubectl -n pepr-system get pods",
  ];
}

/** How to clean up what is still there. */
export function cleanUp(kubectl: Kubectl, embedded: boolean): readonly string[] {
  return [
    "To clean up:",
    ...choose(kubectl),
    `kubectl delete namespaces -l ${DEMO_LABEL}=${DEMO_NAME}`,
    ...(embedded
      ? ["npm run cluster:down    # ends the embedded cluster, and the mesh with it"]
      : ["README, “Removing the mesh”, says how the control plane is removed from your cluster"]),
  ];
}

/** Where to look when a step failed: the commands, and what they show right now. */
export async function afterFailure(kubectl: Kubectl): Promise<readonly string[]> {
  const commands = [
    ["get", "pods", "-A", "-o", "wide"],
    ["get", "events", "-A", "--field-selector=type=Warning", "--sort-by=.lastTimestamp"],
    ["-n", "pepr-system", "logs", "--selector=app", "--all-containers", "--tail=10", "--prefix"],
  ];
  const lines = ["Where to look:", ...choose(kubectl)];
  for (const command of commands) {
    const result = await kubectl.attempt(command, undefined, 20_000).catch(() => undefined);
    const shown = (result?.stdout ?? "").trim().split("\n").slice(-15);
    lines.push(`kubectl ${command.join(" ")}`, ...shown.map(line => `    ${line.slice(0, 220)}`));
  }
  return lines;
}
