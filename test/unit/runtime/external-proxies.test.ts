import http from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { ExternalProxyKeeper } from "../../../src/runtime/control-plane/external-proxies";
import { createKubeClient } from "../../../src/runtime/kube/client";
import { silentLog } from "../../../src/runtime/log";
import { createRoot, loadAuthority } from "../../../src/runtime/secrets/authority";
import { issueExternal } from "../../../src/runtime/secrets/external-certificate";
import { externalWorkload, newPublicKey } from "../../support/external-workload";
import { TURNED_START, TurnedClock } from "../../support/turned-clock";
import { waitFor } from "../../support/wait";

const { certPem, keyPem } = createRoot(TURNED_START);
const authority = loadAuthority(certPem, keyPem);
const COUNT = 40;

/** An object whose key is certified, unless `publicKey` says another one since. */
function workload(index: number, version: number, publicKey?: string): object {
  const name = `vm-${index}`;
  const own = newPublicKey();
  const object = externalWorkload({ namespace: "shop", name, addresses: ["192.0.2.7"], publicKey: own });
  const request = { namespace: "shop", name, uid: object.metadata.uid ?? "", publicKey: own };
  const issuer = { authority, trust: certPem, now: TURNED_START };
  const proxy = issueExternal({ ...request, held: undefined }, issuer);
  return {
    ...object,
    metadata: { ...object.metadata, resourceVersion: String(version) },
    spec: { serviceAccountName: "store", addresses: ["192.0.2.7"], publicKey: publicKey ?? own },
    status: { proxy },
  };
}

/** Bytes of the right form that are no point. */
function offCurve(): string {
  const bytes = Buffer.from(newPublicKey(), "base64");
  return bytes.fill(0, 27).toString("base64");
}

describe("the certificates of external proxies, with a server that tells what it is told to", () => {
  const clock = new TurnedClock();
  const patched: string[] = [];
  let looks = 0;
  let watch: http.ServerResponse | undefined;
  const server = http.createServer((request, response) => {
    if (request.method === "PATCH") {
      patched.push(request.url ?? "");
      response.end("{}");
    } else if (request.url?.includes("watch=true")) {
      watch = response;
      response.flushHeaders();
    } else {
      const items = Array.from({ length: COUNT }, (_, index) => workload(index, 1));
      response.end(JSON.stringify({ metadata: { resourceVersion: "1" }, items }));
    }
  });
  const kube = { close: (): void => undefined };
  let keeper: ExternalProxyKeeper;
  before(async () => {
    await new Promise<void>(resolve => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const client = createKubeClient({ server: `http://127.0.0.1:${port}`, current: () => ({}) });
    kube.close = () => {
      client.close();
    };
    const rootsPem = (): string => {
      looks += 1;
      return certPem;
    };
    const own = { kube: client, clock, log: silentLog, random: () => 0.5 };
    keeper = new ExternalProxyKeeper({ ...own, authority, rootsPem });
  });
  after(() => {
    keeper.stop();
    kube.close();
    server.close();
    server.closeAllConnections();
  });
  const tell = (object: object): void =>
    void watch?.write(`${JSON.stringify({ type: "MODIFIED", object })}\n`);

  it("looks at the one object that has changed, and leaves alone a key that is no point", async () => {
    await waitFor("the watch", () => watch);
    expect(looks, "each, after the list").to.equal(COUNT);
    expect(patched).to.deep.equal([]);
    tell(workload(2, 2, offCurve()));
    tell(workload(3, 3, newPublicKey()));
    await waitFor("a certificate", () => patched.length > 0);
    // The event, the work that follows from it, and the certificate's issue.
    expect(looks - COUNT).to.be.within(1, 3);
    expect(patched).to.deep.equal([
      "/apis/config.openservicemesh.io/v1alpha2/namespaces/shop/externalworkloads/vm-3/status",
    ]);
  });

  it("looks at all of them every minute", () => {
    const before = looks;
    clock.pass(60_000);
    expect(looks - before).to.be.at.least(COUNT - 1);
  });
});
