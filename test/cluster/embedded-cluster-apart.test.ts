import { expect } from "chai";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { kubectlPath } from "../../hack/cluster/binaries";
import { down } from "../../hack/cluster/down";
import { withLock } from "../../hack/cluster/lock";
import { Progress, until } from "../../hack/cluster/progress";
import { clusterSettings, repositoryRoot } from "../../hack/cluster/settings";
import { capture, run } from "../../hack/cluster/shell";
import { selectTarget } from "../../hack/cluster/target";
import { up } from "../../hack/cluster/up";

const quiet = (): void => undefined;

describe("embedded clusters beside each other and beside the user's own", () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-apart-"));
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it("refuse networks that another one has, and never take its link away", async () => {
    const index = 19;
    const env = { OSM_CLUSTER_NAME: "osm-apart", OSM_STATE: path.join(folder, "state") };
    const settings = clusterSettings({ ...env, OSM_CLUSTER_INDEX: String(index) });
    const { hostLink } = settings;
    await capture("ip", ["link", "add", hostLink, "type", "veth", "peer", "name", "osmtest19"]);
    try {
      await capture("ip", ["link", "set", hostLink, "alias", "osm-somebody"]);
      const refusal = await up(quiet, settings).catch((error: unknown) => String(error));
      expect(refusal)
        .to.contain("osm-somebody")
        .and.to.match(/OSM_CLUSTER_INDEX=\d+ is free/);
      expect(existsSync(settings.state), "state of the refused cluster").to.equal(false);
      await down(quiet, settings);
      expect((await run("ip", ["link", "show", hostLink])).code, "the other's link after down").to.equal(0);
    } finally {
      await capture("ip", ["link", "del", hostLink]);
    }
  });

  it("are changed by one process at a time, also when the holder is killed", async () => {
    const settings = clusterSettings({ OSM_CLUSTER_NAME: "osm-lock", OSM_STATE: path.join(folder, "lock") });
    const program = `
      const { withLock } = require("./hack/cluster/lock");
      const { appendFileSync } = require("node:fs");
      const [settings, file] = [${JSON.stringify(settings)}, ${JSON.stringify(path.join(folder, "turns"))}];
      const say = line => appendFileSync(file, line + " " + process.pid + "\\n");
      withLock(settings, () => undefined, async () => {
        say("in");
        if (process.env.HANG) await new Promise(() => setInterval(() => undefined, 1_000));
        await new Promise(resolve => setTimeout(resolve, 20));
        say("out");
      });`;
    const start = (env: object): ReturnType<typeof spawn> =>
      spawn(process.execPath, ["--import", "tsx", "-e", program], {
        cwd: repositoryRoot(),
        env: { ...process.env, ...env },
        stdio: "ignore",
      });
    const turns = (): string[] => {
      const file = path.join(folder, "turns");
      return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
    };
    const hanging = start({ HANG: "1" });
    await until("the first holder", 60_000, () => (turns().length === 1 ? true : undefined));
    const waiting = Array.from({ length: 3 }, () => start({}));
    const ended = waiting.map(child => new Promise(resolve => child.once("exit", resolve)));
    let own: Promise<unknown> = Promise.resolve();
    const told = new Promise<void>(resolve => {
      own = withLock(
        settings,
        () => {
          resolve();
        },
        () => Promise.resolve(),
      );
    });
    await told;
    expect(turns(), "nobody else while it is held").to.have.length(1);
    hanging.kill("SIGKILL");
    await Promise.all([...ended, own]);
    const words = turns().slice(1);
    expect(words).to.have.length(6);
    for (let n = 0; n < words.length; n += 2) {
      const [, holder] = words[n]?.split(" ") ?? [];
      expect([words[n], words[n + 1]]).to.deep.equal([`in ${holder}`, `out ${holder}`]);
    }
    expect(readdirSync(folder), "files of the lock").to.deep.equal(["turns"]);
  });

  it("keep to the context that was confirmed, whatever becomes the current one", async () => {
    const file = path.join(folder, "mine");
    const cluster = (name: string): object => ({ name, cluster: { server: `https://${name}.invalid` } });
    const context = (name: string): object => ({ name, context: { cluster: name, user: "me" } });
    const config = {
      apiVersion: "v1",
      kind: "Config",
      clusters: ["first", "second"].map(cluster),
      contexts: ["first", "second"].map(context),
      users: [{ name: "me", user: { token: "mine" } }],
      "current-context": "first",
    };
    writeFileSync(file, JSON.stringify(config));
    const lines: string[] = [];
    const env = { ...process.env, OSM_CLUSTER: "kubeconfig", KUBECONFIG: file };
    const target = await selectTarget({ yes: true, log: line => lines.push(line) }, env);
    if (target.kind !== "own") throw new Error("not the user's own");
    expect(lines.join("\n")).to.contain("context first, API server https://first.invalid");
    const kubectl = await kubectlPath(new Progress(quiet));
    await capture(kubectl, [`--kubeconfig=${file}`, "config", "use-context", "second"]);
    const view = [
      "config",
      "view",
      "--raw",
      "-o",
      "jsonpath={.clusters[*].cluster.server} {.users[*].user.token}",
    ];
    const pinned = await capture(kubectl, [`--kubeconfig=${target.kubeconfig}`, ...view]);
    expect(pinned).to.equal("https://first.invalid mine");
  });
});
