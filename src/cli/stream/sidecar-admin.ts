import http from "node:http";
import type { Socket } from "node:net";
import { FILE_ADMIN_SOCKET, RUN_DIRECTORY } from "../../injector/names";
import { SIDECAR_CONTAINER } from "../../model/mesh-words";
import type { KubeCredentials } from "../../runtime/kube/credentials";
import { CommandError } from "../failure";
import { openPodExec } from "./pod-exec";

/**
 * Envoy's administration interface is a socket that no container but the sidecar can open. So the relay between it and us runs there,
 * in the Perl that every Debian base image brings.
 */
const RELAY = [
  "use IO::Socket::UNIX;use IO::Select;",
  '$s=IO::Socket::UNIX->new(Peer=>$ARGV[0]) or die "$!\\n";',
  "$a=IO::Select->new($s,\\*STDIN);",
  "while(@r=$a->can_read){for(@r){$n=sysread($_,$b,65536);",
  "if(!$n){exit if $_==$s;$a->remove($_);next}",
  "syswrite($_==$s?\\*STDOUT:$s,$b)}}",
].join("");

/** A pod with a sidecar. */
export interface SidecarPod {
  readonly namespace: string;
  readonly pod: string;
}

/** A page of Envoy's administration interface, in the method it wants. */
export interface AdminCall {
  readonly method: "GET" | "POST";
  /** Like `config_dump?include_eds`; a leading slash may be left out. */
  readonly page: string;
}

const firstLine = (text: string): string => text.split("\n", 1)[0] ?? "";

/** How long a page may take. */
const ANSWER_MS = 60_000;

function whyNot(error: unknown, { namespace, pod }: SidecarPod): unknown {
  const words = error instanceof Error ? error.message : "";
  if (/container not found|container envoy is not valid|not found in pod/.test(words))
    return new CommandError(
      `pod ${namespace}/${pod} has no sidecar (container ${SIDECAR_CONTAINER}) that runs`,
    );
  if (/perl.*(not found|no such file)/i.test(words))
    return new CommandError(
      `the sidecar image of pod ${namespace}/${pod} has no perl, which the relay to Envoy needs`,
    );
  return error;
}

/** Asks Envoy; gives the page's text. Rejects with {@link CommandError} naming page and pod when Envoy refuses it. */
export async function askSidecar(
  credentials: KubeCredentials,
  pod: SidecarPod,
  call: AdminCall,
): Promise<string> {
  const command = ["perl", "-e", RELAY, `${RUN_DIRECTORY}/${FILE_ADMIN_SOCKET}`];
  try {
    const stream = await openPodExec(credentials, { ...pod, container: SIDECAR_CONTAINER, command });
    return await exchange(stream as unknown as Socket, pod, call);
  } catch (error) {
    throw whyNot(error, pod);
  }
}

function exchange(
  socket: Socket,
  { namespace, pod }: SidecarPod,
  { method, page }: AdminCall,
): Promise<string> {
  const path = page.startsWith("/") ? page : `/${page}`;
  return new Promise((resolve, reject) => {
    const request = http.request({
      createConnection: () => socket,
      method,
      path,
      headers: { Host: "envoy", Connection: "close", "Content-Length": "0" },
    });
    const timer = setTimeout(() => socket.destroy(new Error(`Envoy does not answer ${path}`)), ANSWER_MS);
    socket.on("error", reject);
    request.on("error", reject);
    request.on("response", response => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => (text += part));
      response.on("error", reject);
      response.on("end", () => {
        clearTimeout(timer);
        socket.destroy();
        const status = response.statusCode ?? 0;
        if (status === 200) resolve(text);
        else
          reject(
            new CommandError(
              `Envoy of pod ${namespace}/${pod} answers ${path} with ${status}: ${firstLine(text)}`,
            ),
          );
      });
    });
    request.end();
  });
}
