/** `--verbose`: each request to the API server and what became of it, in one line of standard error. */
import { KubeError, type KubeClient } from "../runtime/kube";
import type { Clock } from "../runtime/ports";

/** The same client, which writes a line for each request when it is answered. Bodies are not told: some hold secrets. */
export function telling(kube: KubeClient, clock: Clock, write: (text: string) => void): KubeClient {
  const told = async <T>(method: string, path: string, ask: () => Promise<T>): Promise<T> => {
    const began = clock.now();
    const end = (answer: string): void => {
      write(`${method} ${path}: ${answer}, ${Math.round(clock.now() - began)} ms\n`);
    };
    try {
      const answer = await ask();
      end("done");
      return answer;
    } catch (error) {
      const status = error instanceof KubeError ? error.status : 0;
      end(status === 0 ? "no answer" : String(status));
      throw error;
    }
  };
  return {
    get: path => told("GET", path, () => kube.get(path)),
    create: (path, body) => told("POST", path, () => kube.create(path, body)),
    apply: (path, body, manager) => told("APPLY", path, () => kube.apply(path, body, manager)),
    mergePatch: (path, body) => told("PATCH", path, () => kube.mergePatch(path, body)),
    jsonPatch: (path, body) => told("PATCH", path, () => kube.jsonPatch(path, body)),
    delete: (path, uid) => told("DELETE", path, () => kube.delete(path, uid)),
    watch: (path, onEvent, signal) => told("WATCH", path, () => kube.watch(path, onEvent, signal)),
  };
}
