import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { kubeconfigCredentials, type KubeCredentials } from "./credentials";

/** Outside a cluster: the kubeconfig that kubectl would use, read by kubectl itself. */
export async function kubectlCredentials(): Promise<KubeCredentials> {
  const args = ["config", "view", "--raw", "--minify", "--flatten", "-o", "json"];
  const { stdout } = await promisify(execFile)("kubectl", args);
  return kubeconfigCredentials(JSON.parse(stdout));
}
