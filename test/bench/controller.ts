/** A replica of the control plane as a process of its own: informers, engine and ADS, put together as in the product. */
import os from "node:os";
import { createKubeClient } from "../../src/runtime/kube/client";
import { systemClock } from "../../src/runtime/clock";
import { startServing } from "../../src/runtime/control-plane/serving";
import { startWorld } from "../../src/runtime/control-plane/world";
import { createLog } from "../../src/runtime/log";
import { ensureAuthority } from "../../src/runtime/secrets/ca-secret";
import { readSettings } from "../../src/runtime/settings";

/** To the replica, once. */
export interface StartReplica {
  readonly server: string;
  readonly ca: string;
  readonly token: string;
}

/** From it, once: configuration is compiled and the port is open. */
export interface ReplicaStarted {
  readonly port: number;
  /** PEM that verifies it. */
  readonly root: string;
}

async function start({ server, ca, token }: StartReplica): Promise<ReplicaStarted> {
  const log = createLog({ level: "warn", clock: systemClock, stream: process.stderr });
  const settings = readSettings({}, os.tmpdir());
  const kube = createKubeClient({ server, current: () => ({ ca, token }) });
  const common = { kube, clock: systemClock, random: Math.random, log };
  const authority = await ensureAuthority({
    ...common,
    namespace: settings.osmNamespace,
    now: () => systemClock.now(),
  });
  const world = startWorld(settings, common);
  await world.synced;
  const parts = { ...common, settings, authority, world, hosts: ["127.0.0.1"], port: 0 };
  const serving = await startServing(parts);
  return { port: serving.ads.port, root: authority.certPem };
}

process.once("message", (message: StartReplica) => {
  start(message).then(
    started => process.send?.(started),
    (error: unknown) => {
      process.stderr.write(`control plane: ${String(error)}\n`);
      process.exit(1);
    },
  );
});
process.once("disconnect", () => process.exit(0));
