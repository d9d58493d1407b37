import http from "node:http";

/** What the admin interface of an Envoy answers, by its socket of the file system. */
export interface EnvoyAdmin {
  admin(path: string): Promise<string>;
  /** A counter or gauge by its exact name; 0 while there is none of that name. */
  stat(name: string): Promise<number>;
}

function get(socketPath: string, target: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath, path: target, agent: false }, response => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => {
        resolve(text);
      });
    });
    request.on("error", reject);
  });
}

/** The admin interface behind a socket; nothing is asked before it is used. */
export function envoyAdmin(socket: string): EnvoyAdmin {
  return {
    admin: target => get(socket, target),
    stat: async name => {
      const exactly = `^${name.replace(/[.|*+?()[\]{}\\^$]/g, "\\$&")}$`;
      const text = await get(socket, `/stats?filter=${encodeURIComponent(exactly)}`);
      return Number(/: (\d+)/.exec(text)?.[1] ?? 0);
    },
  };
}
