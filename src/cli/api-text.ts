import { answerError, transportError } from "../runtime/kube/errors";
import type { KubeCredentials } from "../runtime/kube/credentials";
import { apiRequest } from "./api-request";

/** How long the server may be silent. */
const SILENT_MS = 30_000;

/** Reads what is no JSON: logs, pages of a pod. Rejects with a KubeError when it is refused. */
export function readText(credentials: KubeCredentials, path: string): Promise<string> {
  const what = `GET ${path.split("?", 1)[0] ?? ""}`;
  return new Promise((resolve, reject) => {
    const request = apiRequest(credentials, { path, silentMs: SILENT_MS });
    request.on("timeout", () => request.destroy(new Error("no answer")));
    request.on("error", error => {
      reject(transportError(what, error));
    });
    request.on("response", response => {
      let body = "";
      response.setEncoding("utf8").on("data", (part: string) => (body += part));
      response.on("error", reject);
      response.on("end", () => {
        const { statusCode: status = 0 } = response;
        if (status === 200) resolve(body);
        else reject(answerError(what, { status, body, retryAfter: undefined }));
      });
    });
    request.end();
  });
}
