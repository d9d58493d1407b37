import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/**
 * Writes the TypeScript of the Envoy API from the committed descriptor image, by ts-proto's protoc plugin, without protoc
 * and without network. There are encoders only: the few messages that the server reads are read in src/xds/wire.ts.
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

function main(): void {
  const started = process.hrtime.bigint();
  // Generated first, so that a reader meets the old tree or the new one for all but an instant.
  const response = runPlugin(request(readImage()));
  rmSync(OUTPUT, { recursive: true, force: true });
  const files = writeResponse(response, OUTPUT);
  const ms = Number((process.hrtime.bigint() - started) / 1_000_000n);
  process.stdout.write(`Envoy API: ${files} files, ${ms} ms\n`);
}

main();
