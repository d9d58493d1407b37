/** The control plane as its own process: informers, engine and ADS, put together as in the product. */
import os from "node:os";
import { createKubeClient } from "../../src/runtime/kube/client";
import { systemClock } from "../../src/runtime/clock";
import { startServing, type Serving } from "../../src/runtime/control-plane/serving";
import { startWorld, type World } from "../../src/runtime/control-plane/world";
import { createLog } from "../../src/runtime/log";
import { ensureAuthority } from "../../src/runtime/secrets/ca-secret";
import { readSettings } from "../../src/runtime/settings";
import type { ControllerStats, FromController, ToController } from "./protocol";

let running: { readonly world: World; readonly serving: Serving } | undefined;
const say = (message: FromController): void => void process.send?.(message);

async function start(message: Extract<ToController, { kind: "start" }>): Promise<void> {
  const log = createLog({ level: "warn", clock: systemClock, stream: process.stderr });
  const settings = readSettings({}, os.tmpdir());
  const { server, ca, token } = message;
  const kube = createKubeClient({ server, current: () => ({ ca, token }) });
  const common = { kube, clock: systemClock, random: Math.random, log };
  const authority = await ensureAuthority({
    ...common,
    namespace: settings.osmNamespace,
    now: () => systemClock.now(),
  });
  const world = startWorld(settings, common);
  await world.synced;
  const serving = await startServing({
    ...common,
    settings,
    authority,
    world,
    hosts: ["127.0.0.1"],
    port: 0,
  });
  running = { world, serving };
  say({ kind: "started", port: serving.ads.port, root: authority.certPem });
}

const NOTHING_YET = { bytes: 0, responses: 0, streams: 0, encodes: 0, synced: 0, pods: 0 };

function workDone({ world, serving }: { world: World; serving: Serving }): typeof NOTHING_YET {
  const { bytes, responses, streams } = serving.ads.stats();
  const pods = [...(world.informers.byKind.get("Pod")?.values() ?? [])].length;
  const { encodes } = world.engine.stats();
  return { bytes, responses, streams, encodes, synced: serving.ads.ledger.summary().synced, pods };
}

function stats(): ControllerStats {
  const { user, system } = process.cpuUsage();
  const work = running === undefined ? NOTHING_YET : workDone(running);
  return { cpuSeconds: (user + system) / 1e6, rssMegabytes: process.memoryUsage.rss() / 1048576, ...work };
}

process.on("message", (message: ToController) => {
  if (message.kind === "stats") say({ kind: "stats", stats: stats() });
  else {
    start(message).catch((error: unknown) => {
      process.stderr.write(`control plane: ${String(error)}\n`);
      process.exit(1);
    });
  }
});
process.on("disconnect", () => process.exit(0));
