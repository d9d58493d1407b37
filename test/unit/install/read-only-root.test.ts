import { expect } from "chai";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import os from "node:os";
import path from "node:path";
import { brotliCompressSync, gunzipSync, gzipSync } from "node:zlib";
import { withReadOnlyRoot, type PodSpec } from "../../../src/install/read-only-root";

const CODE = 'console.log("a module");\n';
const HASH = createHash("sha256").update(CODE).digest("hex");

const pod = (hash = HASH): PodSpec => ({
  containers: [
    {
      name: "server",
      image: "controller:v1",
      args: ["/app/node_modules/pepr/dist/controller.js", hash],
      resources: { limits: { cpu: "1" } },
      securityContext: { runAsUser: 65532 },
      volumeMounts: [
        { name: "tls-certs", mountPath: "/etc/certs", readOnly: true },
        { name: "module", mountPath: "/app/load", readOnly: true },
      ],
    },
  ],
  volumes: [{ name: "module", secret: { secretName: "pepr-osm-module" } }],
});

describe("pods of Pepr's with a read-only root file system", () => {
  it("write to one small volume in memory, at the two places that are written to", () => {
    const { containers, initContainers, volumes } = withReadOnlyRoot(pod());
    expect(containers[0]?.["securityContext"]).to.deep.equal({
      runAsUser: 65532,
      readOnlyRootFilesystem: true,
    });
    expect(initContainers?.[0]?.["securityContext"]).to.deep.equal({
      runAsUser: 65532,
      readOnlyRootFilesystem: true,
    });
    expect(initContainers?.[0]).to.include({ image: "controller:v1" });
    const writable = containers[0]?.volumeMounts?.filter(mount => mount["readOnly"] !== true);
    expect(writable?.map(({ mountPath }) => mountPath)).to.deep.equal([`/app/module-${HASH}.js`, "/tmp"]);
    expect(volumes?.at(-1)).to.deep.equal({
      name: "unpacked",
      emptyDir: { medium: "Memory", sizeLimit: "32Mi" },
    });
  });

  it("stay as they are the second time, and follow a module that another deploy brings", () => {
    const once = withReadOnlyRoot(pod());
    expect(withReadOnlyRoot(once)).to.deep.equal(once);
    const other = "a".repeat(64);
    const [container] = once.containers;
    const deployed = {
      ...once,
      containers: [{ ...container, args: ["/app/node_modules/pepr/dist/controller.js", other] }],
    };
    expect(withReadOnlyRoot(deployed)).to.deep.equal(withReadOnlyRoot(pod(other)));
  });

  it("are left alone where they do not run a module", () => {
    const foreign: PodSpec = { containers: [{ name: "app", args: ["serve"] }] };
    expect(withReadOnlyRoot(foreign)).to.equal(foreign);
  });

  describe("unpack", () => {
    let folder: string;
    beforeEach(() => {
      folder = mkdtempSync(path.join(os.tmpdir(), "osm-unpack-"));
      for (const name of ["bundle", "unpacked"]) mkdirSync(path.join(folder, name));
    });
    afterEach(() => {
      rmSync(folder, { recursive: true });
    });
    /** Runs the init container's program on this folder; its exit code. */
    function unpack(): number | null {
      const [, script = "", hash = ""] = withReadOnlyRoot(pod()).initContainers?.[0]?.args ?? [];
      const here = script
        .replaceAll('"/bundle/', `"${folder}/bundle/`)
        .replaceAll('"/unpacked/', `"${folder}/unpacked/`);
      return spawnSync(process.execPath, ["-e", here, hash]).status;
    }
    const unpacked = (): string =>
      gunzipSync(readFileSync(path.join(folder, "unpacked/load", `module-${HASH}.js.gz`))).toString();

    for (const [end, pack] of [
      ["br", brotliCompressSync],
      ["gz", gzipSync],
    ] as const)
      it(`makes of a module that ends with .${end} what Pepr's controller reads, more than once`, () => {
        writeFileSync(path.join(folder, "bundle", `module-${HASH}.js.${end}`), pack(Buffer.from(CODE)), {
          mode: 0o440,
        });
        for (const time of ["once", "again"]) {
          expect(unpack(), time).to.equal(0);
          expect(unpacked()).to.equal(CODE);
          expect(readFileSync(path.join(folder, "unpacked/module.js"), "utf8")).to.equal("");
        }
      });

    it("fails where the module is not the one that is asked for, to be tried again", () => {
      writeFileSync(path.join(folder, "bundle", `module-${"b".repeat(64)}.js.gz`), "");
      expect(unpack()).to.equal(1);
    });
  });
});
