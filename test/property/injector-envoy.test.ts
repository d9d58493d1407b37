import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import fc from "fast-check";
import { envoyBinary } from "../../hack/envoy/binary";
import { sdsDocuments } from "../../src/injector/bootstrap";
import type { InjectionRequest } from "../../src/injector/inject";
import { containerNamed, injected, relocate } from "../support/injection";
import { FILE_ROOT_SDS, FILE_TOKEN_SDS, unescapeExpansion } from "../../src/injector/names";
import { randomRequest } from "../support/random-pod";

/** Each run starts Envoy. */
const numRuns = process.env["OSM_FULL"] === "1" ? 200 : 12;

describe("injector: command lines of random pods before the real Envoy", function () {
  this.timeout(900_000);
  let folder = "";
  let envoy = "";
  before(async () => {
    envoy = await envoyBinary();
    folder = mkdtempSync(path.join(os.tmpdir(), "osm-random-"));
    const paths = { identity: folder, run: path.join(folder, "run") };
    mkdirSync(paths.run);
    const documents = sdsDocuments(paths);
    writeFileSync(path.join(folder, FILE_TOKEN_SDS), documents.token);
    writeFileSync(path.join(folder, FILE_ROOT_SDS), documents.root);
    writeFileSync(path.join(folder, "token"), "a token");
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  /** What the kubelet makes of the container's arguments, with the folders of this test. */
  const argumentsOf = (request: InjectionRequest): string[] => {
    const args = containerNamed(injected(request), "envoy").args ?? [];
    const paths = { identity: folder, run: path.join(folder, "run") };
    return args.map(text => (text === "$(POD_UID)" ? "pod-uid" : relocate(unescapeExpansion(text), paths)));
  };

  it("are all accepted", async () => {
    await fc.assert(
      fc.asyncProperty(randomRequest, async request => {
        const args = [...argumentsOf(request), "--mode", "validate"];
        const { stdout } = await promisify(execFile)(envoy, args);
        expect(stdout).to.contain("OK");
      }),
      { numRuns, endOnFailure: true },
    );
  });
});
