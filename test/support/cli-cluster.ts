import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { stringify } from "yaml";
import { osm, type Ended, type Given } from "./cli";
import type { TestApiServer } from "./kube-apiserver";

/** The command with a kubeconfig of its own for a bare API server. */
export interface CliCluster {
  /** Runs `osm …` against the server. */
  readonly osm: (args: readonly string[], given?: Given) => Promise<Ended>;
  /** Like {@link CliCluster.osm}; gives what it printed, and throws with what it complained of when it fails. */
  readonly must: (args: readonly string[], given?: Given) => Promise<string>;
  readonly kubeconfig: string;
  remove(): void;
}

/** Writes a kubeconfig for an administrator of the server, as any tool would leave it. */
export function cliCluster(server: TestApiServer): CliCluster {
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-cli-"));
  const kubeconfig = path.join(folder, "config");
  writeFileSync(path.join(folder, "ca.crt"), server.ca);
  writeFileSync(
    kubeconfig,
    stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "test",
      contexts: [{ name: "test", context: { cluster: "test", user: "admin", namespace: "shop" } }],
      clusters: [
        {
          name: "test",
          cluster: { server: `https://127.0.0.1:${server.port}`, "certificate-authority": "ca.crt" },
        },
      ],
      users: [{ name: "admin", user: { token: server.token } }],
    }),
  );
  const run = (args: readonly string[], given: Given = {}): Promise<Ended> =>
    osm(args, { ...given, env: { KUBECONFIG: kubeconfig, ...given.env } });
  return {
    osm: run,
    kubeconfig,
    must: async (args, given) => {
      const { code, stdout, stderr } = await run(args, given);
      if (code !== 0) throw new Error(`osm ${args.join(" ")}: ${code} ${stderr}`);
      return stdout;
    },
    remove: () => {
      rmSync(folder, { recursive: true });
    },
  };
}
