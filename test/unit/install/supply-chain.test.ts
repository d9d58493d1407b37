import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import { repositoryRoot } from "../../../hack/cluster/settings";
import { sbomOf } from "../../../hack/sbom";
import { bundle, type Bundled } from "../../../hack/size";
import { verdict } from "../../support/verdict";

interface Locked {
  /** Where it is installed, relative to the repository. */
  readonly place: string;
  readonly version?: string;
  readonly integrity?: string;
  /** Of a link: the folder of this repository that it leads to. */
  readonly resolved?: string;
  readonly link?: boolean;
  readonly hasInstallScript?: boolean;
}

/** Versions below these have known faults that a mesh cannot have; of pepr another one is tagged as latest by mistake. */
const OLDEST: Readonly<Record<string, string>> = {
  "node-forge": "1.4.0",
  "@grpc/grpc-js": "1.14.7",
  protobufjs: "7.5.6",
};
const NEVER: Readonly<Record<string, string>> = { pepr: "20.0.0" };
/** Packages that may run something of their own when they are installed: a binary is unpacked, a version is looked at. */
const MAY_RUN: readonly string[] = ["esbuild", "protobufjs"];

const numbers = (version: string): readonly number[] => version.split(/[.-]/).slice(0, 3).map(Number);

function isOlder(version: string, than: string): boolean {
  const [one, other] = [numbers(version), numbers(than)];
  const differs = one.findIndex((part, index) => part !== other[index]);
  return differs >= 0 && (one[differs] ?? 0) < (other[differs] ?? 0);
}

/** Folder of the package that a file belongs to, undefined: it is the repository's own. */
const placeOf = (file: string): string | undefined => /^.*node_modules\/(@[^/]+\/)?[^/]+/.exec(file)?.[0];

function placesOf(files: readonly string[]): readonly string[] {
  return [...new Set(files.map(placeOf))].filter(place => place !== undefined);
}

/** Copies what the module is built from, and nothing else, to a folder; links lead where they led, but there. */
function copySources(files: readonly string[], links: readonly Locked[], target: string): void {
  const root = repositoryRoot();
  const own = ["pepr.ts", "package.json", "tsconfig.json", "src", "capabilities", "hack/absent"];
  const manifest = "node_modules/pepr/package.json";
  for (const each of [...own, manifest, ...placesOf(files)])
    cpSync(path.join(root, each), path.join(target, each), { recursive: true });
  for (const { place, resolved = "" } of links) {
    const link = path.join(target, place);
    mkdirSync(path.dirname(link), { recursive: true });
    symlinkSync(path.relative(path.dirname(link), path.join(target, resolved)), link);
  }
}

describe("the packages that the product is made of (S-06)", () => {
  const read = (name: string): unknown =>
    JSON.parse(readFileSync(path.join(repositoryRoot(), name), "utf8")) as unknown;
  const manifest = read("package.json") as Readonly<Record<string, Readonly<Record<string, string>>>>;
  const { packages } = read("package-lock.json") as {
    packages: Readonly<Record<string, Omit<Locked, "place">>>;
  };
  const locked = Object.entries(packages)
    .filter(([place]) => place.includes("node_modules/"))
    .map(([place, entry]) => ({ name: place.split("node_modules/").at(-1) ?? "", place, ...entry }));

  it("are asked for by exact version, or are part of this repository", () => {
    const asked = ["dependencies", "devDependencies"].flatMap(kind => Object.entries(manifest[kind] ?? {}));
    expect(asked.length).to.be.above(20);
    expect(asked.filter(([, version]) => !/^(\d+\.\d+\.\d+|file:hack\/.*)$/.test(version))).to.deep.equal([]);
  });

  it("are locked with a digest each", () => {
    expect(locked.length).to.be.above(100);
    const without = locked.filter(({ link, integrity = "" }) => link !== true && !/^sha512-/.test(integrity));
    expect(without.map(({ name }) => name)).to.deep.equal([]);
  });

  it("are none that is known to be bad", () => {
    const old = locked.filter(({ name, version = "0" }) => isOlder(version, OLDEST[name] ?? "0.0.0"));
    const never = locked.filter(({ name, version }) => version !== undefined && NEVER[name] === version);
    expect([...old, ...never].map(({ name, version }) => `${name} ${version ?? ""}`)).to.deep.equal([]);
    for (const name of [...Object.keys(OLDEST), ...Object.keys(NEVER)])
      expect(
        locked.some(each => each.name === name),
        name,
      ).to.equal(true);
    expect([isOlder("1.3.9", "1.4.0"), isOlder("1.4.0", "1.4.0"), isOlder("2.0.0", "1.4.0")]).to.deep.equal([
      true,
      false,
      false,
    ]);
  });

  const running = locked.filter(({ hasInstallScript }) => hasInstallScript === true);
  it(`run nothing of their own when they are installed, but for ${running.length} of ${locked.length} that are known`, () => {
    expect(running.map(({ name }) => name).filter(name => !MAY_RUN.includes(name))).to.deep.equal([]);
  });

  describe("and its bundle", function () {
    this.timeout(120_000);
    let here: Bundled;
    let elsewhere: string;

    before(async () => {
      // With a space, which a path may have too.
      elsewhere = mkdtempSync(path.join(os.tmpdir(), "osm elsewhere-"));
      here = await bundle(repositoryRoot());
    });
    after(() => {
      rmSync(elsewhere, { recursive: true, force: true });
    });

    it("holds no package that the list of its parts (npm run sbom) has not, with version and digest", async () => {
      const { version: ours } = read("package.json") as { version: string };
      const { metadata, components, dependencies } = await sbomOf(repositoryRoot());
      const listed = new Map(components.map(component => [component["bom-ref"], component.hashes?.[0]]));
      expect(listed.size, "references").to.equal(components.length);
      expect(dependencies).to.have.length(components.length + 1);
      expect(metadata.component["bom-ref"]).to.equal(`osm-pepr@${ours}`);
      const places = placesOf(here.files);
      expect(places.length).to.be.above(10);
      const missing = places.filter(place => {
        const { name, version } = read(`${place}/package.json`) as { name: string; version: string };
        const { integrity = "" } = packages[place] ?? {};
        const content = Buffer.from(integrity.replace(/^sha512-/, ""), "base64").toString("hex");
        const hash = listed.get(`${name}@${version}`);
        return content === "" || hash?.alg !== "SHA-512" || hash.content !== content;
      });
      verdict("packages of the bundle in its list of parts (S-06)", missing.length === 0, {
        count: places.length,
        failed: missing.length,
        bound: "0",
      });
      expect(missing).to.deep.equal([]);
    });

    it("lists nothing that is used in development alone", async () => {
      const { components } = await sbomOf(repositoryRoot());
      const names = new Set(components.map(component => component["bom-ref"].replace(/@[^@]+$/, "")));
      for (const name of ["mocha", "chai", "cytoscape", "playwright-core", "knip"])
        expect(names.has(name), name).to.equal(false);
    });

    it("is the same, byte by byte, when it is built in another folder from a copy of its sources", async () => {
      const links = locked.filter(({ link }) => link === true);
      copySources(here.files, links, path.join(elsewhere, "deeper", "copy"));
      const there = await bundle(path.join(elsewhere, "deeper", "copy"));
      expect(there.files).to.deep.equal(here.files);
      const same = Buffer.from(here.code).equals(there.code);
      verdict("the bundle built in another folder (S-06)", same, {
        count: here.files.length,
        bound: "the same bytes",
      });
      expect(same).to.equal(true);
    });
  });
});
