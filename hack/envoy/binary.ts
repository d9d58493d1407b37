import { Progress, toStderr } from "../cluster/progress";
import { ensureEnvoy } from "../images/staging";

/**
 * Path of the pinned Envoy binary, fetched into the cache folder when it is not there yet.
 * Rejects when it can neither be found nor fetched.
 */
export async function envoyBinary(): Promise<string> {
  return ensureEnvoy(new Progress(toStderr));
}
