import { expect } from "chai";
import https from "node:https";
import { ADS_SAN, API_AUDIENCE, PEPR_NAMESPACE, VIEWER_ACCOUNT } from "../../../../src/model/mesh-words";
import { serveApi } from "../../../../src/runtime/api/serve";
import { createViewerCheck } from "../../../../src/runtime/api/viewer";
import type { KubeClient } from "../../../../src/runtime/kube";
import { systemClock } from "../../../../src/runtime/clock";
import { watchedLog } from "../../../support/told-errors";
import { createRoot, loadAuthority } from "../../../../src/runtime/secrets/authority";
import { waitFor } from "../../../support/wait";

const root = createRoot(systemClock.now());

describe("The read-only API's places", () => {
  it("are not all held by a page that does not answer, and are given back when nobody waits", async () => {
    let waiting = 0;
    const api = await serveApi({
      authority: loadAuthority(root.certPem, root.keyPem),
      clock: systemClock,
      log: watchedLog,
      port: 0,
      allowed: () => Promise.resolve(true),
      pages: {
        "/v1/slow": () => {
          waiting += 1;
          return new Promise(() => undefined);
        },
        "/v1/page": () => ({ is: "there" }),
      },
    });
    const begin = (path: string): { readonly status: Promise<number>; end(): void } => {
      const { port } = api;
      const options = { host: "127.0.0.1", port, path, servername: ADS_SAN, ca: root.certPem, agent: false };
      const request = https.get(options as https.RequestOptions);
      const status = new Promise<number>(resolve => {
        request.on("error", () => {
          resolve(0);
        });
        request.on("response", response => {
          response.resume();
          resolve(response.statusCode ?? 0);
        });
      });
      return { status, end: () => void request.destroy() };
    };
    try {
      const slow = Array.from({ length: 9 }, () => begin("/v1/slow"));
      await waitFor("pages that are being made", () => Promise.resolve(waiting === 4));
      expect(await begin("/v1/page").status).to.equal(200);
      expect(await begin("/v1/slow").status).to.equal(503);
      for (const each of slow) each.end();
      await waitFor("a place that is free again", async () => {
        const next = begin("/v1/slow");
        const before = waiting;
        const refused = next.status.then(() => true);
        const begun = waitFor("the page", () => Promise.resolve(waiting > before), 2_000).then(
          () => false,
          () => true,
        );
        return (await Promise.race([refused, begun])) ? undefined : true;
      });
    } finally {
      api.stop();
    }
  });
});

describe("The viewer's token", () => {
  const subject = `system:serviceaccount:${PEPR_NAMESPACE}:${VIEWER_ACCOUNT}`;
  const encoded = (part: object): string => Buffer.from(JSON.stringify(part)).toString("base64url");
  const token = `${encoded({ alg: "RS256", kid: "x" })}.${encoded({ sub: subject, aud: [API_AUDIENCE] })}.AAAA`;
  const judgedAs = (username: string): Promise<boolean> => {
    const status = { authenticated: true, audiences: [API_AUDIENCE], user: { username } };
    const kube = { create: () => Promise.resolve({ status }) } as unknown as Pick<KubeClient, "create">;
    return createViewerCheck({ kube, clock: systemClock })(`Bearer ${token}`);
  };

  it("is whose the API server says, not whose it says itself", async () => {
    expect(await judgedAs(subject)).to.equal(true);
    expect(await judgedAs("somebody-who-chose-his-subject")).to.equal(false);
  });
});
