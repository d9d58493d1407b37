import http from "node:http";
import https from "node:https";
import { answerError, transportError } from "../runtime/kube/errors";
import type { KubeCredentials } from "../runtime/kube/credentials";

/** How long the server may be silent. */
const SILENT_MS = 30_000;

function requestOf(credentials: KubeCredentials, path: string): http.ClientRequest {
  const { token, servername, insecureSkipVerify, ...tls } = credentials.current();
  const base = new URL(credentials.server);
  const options: https.RequestOptions = {
    agent: false,
    host: base.hostname.replace(/^\[|\]$/g, ""),
    ...(base.port === "" ? {} : { port: Number(base.port) }),
    path: base.pathname.replace(/\/$/, "") + path,
    headers: { "User-Agent": "osm", ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }) },
    timeout: SILENT_MS,
    ...tls,
    rejectUnauthorized: insecureSkipVerify !== true,
    ...(servername === undefined ? {} : { servername }),
  };
  return base.protocol === "https:" ? https.request(options) : http.request(options);
}

/** Reads what is no JSON: logs, pages of a pod. Rejects with a KubeError when it is refused. */
export function readText(credentials: KubeCredentials, path: string): Promise<string> {
  const what = `GET ${path.split("?", 1)[0] ?? ""}`;
  return new Promise((resolve, reject) => {
    const request = requestOf(credentials, path);
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
