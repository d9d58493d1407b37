import { readFileSync } from "node:fs";
import path from "node:path";
import { expect } from "chai";
import { repositoryRoot } from "../../../hack/cluster/settings";

interface Locked {
  readonly version?: string;
  readonly integrity?: string;
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

describe("the packages that the product is made of (S-06)", () => {
  const read = (name: string): unknown =>
    JSON.parse(readFileSync(path.join(repositoryRoot(), name), "utf8")) as unknown;
  const manifest = read("package.json") as Readonly<Record<string, Readonly<Record<string, string>>>>;
  const { packages } = read("package-lock.json") as { packages: Readonly<Record<string, Locked>> };
  const locked = Object.entries(packages)
    .filter(([place]) => place.includes("node_modules/"))
    .map(([place, entry]) => ({ name: place.split("node_modules/").at(-1) ?? "", ...entry }));

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
});
