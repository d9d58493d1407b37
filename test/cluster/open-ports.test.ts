import { expect } from "chai";
import { MODULE, WATCHER, WEBHOOK_PORT } from "../../src/install/names";
import { ADS_PORT, API_PORT } from "../../src/model/mesh-words";
import { DEBUG_PORT, HEALTH_PORT } from "../../src/runtime/http-endpoints";
import { LEDGER_PORT } from "../../src/runtime/ledger/transport";
import { PLAINTEXT, portsToTry, scan } from "../support/port-scan";
import { verdict } from "../support/verdict";
import { FULL, Mesh } from "./support/mesh";

/**
 * What the pods of each Deployment listen at for others: webhooks and the kubelet's probes, health and metrics, ADS, ledger
 * (docs/architecture.md, docs/reference/metrics.md). The debug pages and the read-only API are on loopback.
 */
const LISTED: Readonly<Record<string, readonly number[]>> = {
  [MODULE]: [WEBHOOK_PORT, HEALTH_PORT, ADS_PORT, LEDGER_PORT],
  [WATCHER]: [WEBHOOK_PORT, HEALTH_PORT],
};
/** Tried in any case: all of these, what Node listens at for a debugger, and what servers often leave open. */
const INTERESTING: readonly number[] = [
  ...new Set(Object.values(LISTED).flat()),
  DEBUG_PORT,
  API_PORT,
  9229,
  ...[22, 53, 80, 443, 2379, 5000, 6060, 6443, 8000, 8080, 8443, 9090, 10250, 15000, 15010, 15014],
];
const TRY = { patienceMs: 2_000, parallel: 128 } as const;

describe("ports of the control plane's pods, tried from elsewhere (S-04)", function () {
  this.timeout(FULL ? 1_200_000 : 240_000);
  let mesh: Mesh;
  before(async () => {
    mesh = await Mesh.open();
  });

  for (const [deployment, listed] of Object.entries(LISTED)) {
    const ports = portsToTry(FULL, INTERESTING);
    it(`of ${ports.length}, each pod of ${deployment} has those open that are listed, and no other`, async () => {
      const began = Date.now();
      const pods = await mesh.controlPlane(deployment);
      expect(pods.length).to.be.above(0);
      const found: Record<string, readonly number[]> = {};
      for (const { metadata, status } of pods) {
        const { open, unreachable } = await scan({ host: status.podIP ?? "", ports, ...TRY });
        expect(unreachable, `of ${metadata.name}, neither open nor refused`).to.deep.equal([]);
        found[metadata.name] = open;
      }
      const wanted = [...listed].sort((one, other) => one - other);
      const wrong = Object.values(found).filter(open => open.join() !== wanted.join());
      verdict(`S-04: ports of each pod of ${deployment}`, wrong.length === 0, {
        count: ports.length * pods.length,
        failed: wrong.length,
        longestMs: Date.now() - began,
        bound: `${wanted.join(", ")} of ${pods.length} pods, and no other`,
      });
      for (const open of Object.values(found)) expect(open).to.deep.equal(wanted);
    });
  }

  it("of those that are open, health and metrics alone speak plaintext", async () => {
    for (const { metadata, status } of await mesh.controlPlane()) {
      const host = status.podIP ?? "";
      const send = PLAINTEXT.http1;
      const { answered } = await scan({
        host,
        ports: [...new Set(Object.values(LISTED).flat())],
        send,
        ...TRY,
      });
      expect(answered, metadata.name).to.deep.equal([HEALTH_PORT]);
    }
  });
});
