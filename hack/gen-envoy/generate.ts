import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { CONTENT } from "../images/staging";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/**
 * Writes the TypeScript of the Envoy API from the committed descriptor image, by ts-proto's protoc plugin, without protoc
 * and without network. There are encoders only: the few messages that the server reads are read in src/xds/wire.ts.
 * `--check` changes nothing and fails when what is there was made from something else, or is of another Envoy than runs.
 */

const IMAGE = path.join(__dirname, "envoy-api.binpb.gz");
const OUTPUT = path.resolve(__dirname, "../../src/envoy/api/generated");
const PARAMETERS = [
  "oneof=unions-value",
  "useOptionals=all",
  "outputEncodeMethods=encode-only",
  "outputJsonMethods=false",
  "outputPartialMethods=false",
  "outputServices=none",
  "outputTypeAnnotations=static-only",
  "esModuleInterop=true",
];

/** Beside the generated files: what they were made from. */
const STAMP = path.join(OUTPUT, "made-from.txt");

/** One file of the image: its serialised FileDescriptorProto and what is needed to choose it. */
interface DescriptorFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Calls `visit` for each length-delimited field of a message; other fields are skipped. */
function eachField(bytes: Uint8Array, visit: (field: number, value: Uint8Array) => void): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType === WireType.LengthDelimited) visit(field, reader.bytes());
    else reader.skip(wireType);
  }
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf8");

function readFile(bytes: Uint8Array): DescriptorFile {
  let name = "";
  eachField(bytes, (field, value) => {
    if (field === 1) name = text(value);
  });
  return { name, bytes };
}

function readImage(): DescriptorFile[] {
  const files: DescriptorFile[] = [];
  eachField(gunzipSync(readFileSync(IMAGE)), (field, value) => {
    if (field === 1) files.push(readFile(value));
  });
  return files;
}

/** A serialised google.protobuf.compiler.CodeGeneratorRequest. */
function request(files: readonly DescriptorFile[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const file of files) writer.uint32((1 << 3) | 2).string(file.name);
  writer.uint32((2 << 3) | 2).string(PARAMETERS.join(","));
  for (const file of files) writer.uint32((15 << 3) | 2).bytes(file.bytes);
  return writer.finish();
}

function runPlugin(input: Uint8Array): Uint8Array {
  const plugin = require.resolve("ts-proto/protoc-gen-ts_proto");
  const run = spawnSync(process.execPath, [plugin], { input, maxBuffer: 256 * 1024 * 1024 });
  if (run.status !== 0) throw new Error(`ts-proto failed: ${run.stderr.toString()}`);
  return run.stdout;
}

/** Writes the files of a CodeGeneratorResponse under `folder` and returns how many. */
function writeResponse(response: Uint8Array, folder: string): number {
  let written = 0;
  eachField(response, (field, value) => {
    if (field === 1) throw new Error(`ts-proto: ${text(value)}`);
    if (field !== 15) return;
    let name = "";
    let content = "";
    eachField(value, (part, bytes) => {
      if (part === 1) name = text(bytes);
      if (part === 15) content = text(bytes);
    });
    const target = path.join(folder, name);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, content);
    written += 1;
  });
  return written;
}

/** What the generated files depend on: the descriptors, the generator and its parameters. */
function origin(): string {
  const manifest = readFileSync(require.resolve("ts-proto/package.json"), "utf8");
  const { version } = JSON.parse(manifest) as { readonly version: string };
  const image = createHash("sha256").update(readFileSync(IMAGE)).digest("hex");
  return `${image} ts-proto ${version} ${PARAMETERS.join(",")}\n`;
}

/** What {@link complaints} compares. */
export interface GeneratedFacts {
  /** Content of the stamp; undefined: nothing has been generated. */
  readonly stamp: string | undefined;
  readonly origin: string;
  /** The go.mod that the descriptors were dumped with. */
  readonly goModule: string;
  /** Version of the Envoy that runs in the sidecars, like `1.40.0`. */
  readonly envoy: string;
}

/** What is out of date; empty when all is current. */
export function complaints({ stamp, origin: from, goModule, envoy }: GeneratedFacts): readonly string[] {
  const [, api] = /go-control-plane\/envoy v(\S+)/.exec(goModule) ?? [];
  return [
    ...(stamp === from ? [] : ["src/envoy/api/generated is not current: run npm run gen"]),
    ...(api === envoy ? [] : [`the API is of Envoy ${api ?? "(unknown)"}, the sidecars are of ${envoy}`]),
  ];
}

function check(): void {
  const found = complaints({
    stamp: existsSync(STAMP) ? readFileSync(STAMP, "utf8") : undefined,
    origin: origin(),
    goModule: readFileSync(path.join(__dirname, "dump", "go.mod"), "utf8"),
    envoy: CONTENT.envoy,
  });
  for (const complaint of found) process.stderr.write(`${complaint}\n`);
  if (found.length > 0) process.exitCode = 1;
}

function main(): void {
  const started = process.hrtime.bigint();
  // Generated first, so that a reader meets the old tree or the new one for all but an instant.
  const response = runPlugin(request(readImage()));
  rmSync(OUTPUT, { recursive: true, force: true });
  const files = writeResponse(response, OUTPUT);
  writeFileSync(STAMP, origin());
  const ms = Number((process.hrtime.bigint() - started) / 1_000_000n);
  process.stdout.write(`Envoy API: ${files} files, ${ms} ms\n`);
}

if (require.main === module) {
  if (process.argv.includes("--check")) check();
  else main();
}
