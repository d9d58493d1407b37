import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { repositoryRoot } from "./cluster/settings";
import { capture } from "./cluster/shell";

/** A package in the list: the fields of CycloneDX 1.5 that are read here. */
interface Component {
  readonly "bom-ref": string;
  readonly name: string;
  readonly version: string;
  /** Absent for what is no package but part of this repository. */
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
}

/** The fields of a CycloneDX document that are read here; the others are npm's. */
export interface Sbom {
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

type Overrides = Readonly<Record<string, unknown>>;

interface Manifest {
  readonly name: string;
  readonly overrides: Overrides & { readonly pepr: Overrides };
}

interface Lockfile {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>;
}

/** A copy without these keys. */
function without(value: object, ...keys: readonly string[]): object {
  return Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));
}

/**
 * Manifest and lockfile of the product alone. npm's own `--omit dev` leaves out, besides development, what the product
 * shares with it: gRPC, protobuf and node-forge among them.
 */
function writeProduct(root: string, folder: string): void {
  const read = (name: string): unknown => JSON.parse(readFileSync(path.join(root, name), "utf8")) as unknown;
  const write = (name: string, value: object): void => {
    writeFileSync(path.join(folder, name), JSON.stringify(value));
  };
  const manifest = read("package.json") as Manifest;
  const lockfile = read("package-lock.json") as Lockfile;
  const packages = Object.entries(lockfile.packages)
    .filter(([, { dev }]) => dev !== true)
    .map(([place, entry]) => [place, place === "" ? without(entry, "devDependencies") : entry] as const);
  // The npm of Node 20 (10.8) takes an override below pepr for none where the package is found above it too, and refuses
  // the lockfile.
  const overrides = { ...manifest.overrides, ...manifest.overrides.pepr };
  write("package.json", { ...without(manifest, "devDependencies"), overrides });
  write("package-lock.json", { ...lockfile, packages: Object.fromEntries(packages) });
}

/** A package at several places is listed by some versions of npm once for each; CycloneDX wants each reference once. */
function once(listed: Sbom): Sbom {
  const components = new Map(listed.components.map(component => [component["bom-ref"], component]));
  const dependencies = new Map<string, Set<string>>();
  for (const { ref, dependsOn } of listed.dependencies)
    dependencies.set(ref, new Set([...(dependencies.get(ref) ?? []), ...dependsOn]));
  return {
    ...listed,
    components: [...components.values()],
    dependencies: [...dependencies].map(([ref, dependsOn]) => ({ ref, dependsOn: [...dependsOn] })),
  };
}

/**
 * What the module is made of, as CycloneDX: the packages that it depends on, with versions and digests as they are locked.
 * npm makes it from the lockfile alone, without network. Rejects when the lockfile does not fit the manifest.
 */
export async function sbomOf(root: string): Promise<Sbom> {
  const scratch = mkdtempSync(path.join(os.tmpdir(), "osm-sbom-"));
  try {
    const { name } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as Manifest;
    // npm calls the product by its folder.
    const folder = path.join(scratch, name);
    mkdirSync(folder);
    writeProduct(root, folder);
    const format = ["--sbom-format", "cyclonedx", "--sbom-type", "application"];
    const args = ["sbom", "--package-lock-only", "--offline", "--prefix", folder, ...format];
    return once(JSON.parse(await capture("npm", args, { cwd: folder })) as Sbom);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** `npm run sbom`: writes dist/sbom.cdx.json. */
async function main(): Promise<void> {
  const root = repositoryRoot();
  const file = path.join("dist", "sbom.cdx.json");
  const sbom = await sbomOf(root);
  mkdirSync(path.join(root, "dist"), { recursive: true });
  writeFileSync(path.join(root, file), `${JSON.stringify(sbom, null, 2)}\n`);
  console.log(`${file}: ${sbom.components.length} packages`);
}

if (require.main === module) {
  main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
}
