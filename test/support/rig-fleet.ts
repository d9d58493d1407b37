import { systemClock } from "../../src/runtime/clock";
import { Fleet } from "../../src/runtime/ledger/fleet";
import { watchLedger, type LedgerServer } from "../../src/runtime/ledger/transport";
import { watchedLog } from "./told-errors";
import type { LivePod } from "../../src/runtime/ports";
import type { Authority } from "../../src/runtime/secrets/authority";

const common = { clock: systemClock, random: Math.random, log: watchedLog };

/** What a single writer of a test sees: the ledgers of these replicas, over the real transport. */
export function followReplicas(
  authority: Authority,
  replicas: readonly { readonly server: LedgerServer }[],
  expected: ReadonlyMap<string, LivePod>,
): Fleet {
  const fleet = new Fleet({
    ...common,
    connect: ({ address }, handlers) => watchLedger({ ...common, address, authority, ...handlers }),
    expected: () => expected,
  });
  fleet.setReplicas(
    replicas.map(({ server }, index) => ({
      uid: `replica-${index}`,
      name: `replica-${index}`,
      address: `127.0.0.1:${server.port}`,
      ready: true,
    })),
  );
  return fleet;
}
