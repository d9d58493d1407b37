import { gunzipSync, gzipSync } from "node:zlib";
import { createHash } from "node:crypto";
import { parseAllDocuments, stringify } from "yaml";
import type { Manifest } from "../../../hack/demo/manifests";

const PORT = 8080;
const NODE = "/usr/local/bin/node";
const SERVE = `require("node:http").createServer((_, answer) => answer.end("here")).listen(${PORT})`;
/** Counts from its first answer on, and says how many came and what did not. */
const CALL = `let good = 0, bad = 0;
const call = async () => {
  try {
    const answer = await fetch("http://server:${PORT}/", { signal: AbortSignal.timeout(60000) });
    if (answer.status !== 200 || (await answer.text()) !== "here") throw new Error("status " + answer.status);
    good += 1;
  } catch (error) {
    if (good > 0) { bad += 1; console.log("failed", error.cause?.code ?? error.message); }
  }
};
setInterval(call, 100);
setInterval(() => console.log("good", good, "bad", bad), 500);`;

function program(name: string, image: string, script: string): Manifest {
  const labels = { app: name };
  const container = {
    name: "app",
    image,
    command: [NODE, "-e", script],
    ports: [{ name: "http", containerPort: PORT }],
  };
  const template = {
    metadata: { labels },
    spec: { terminationGracePeriodSeconds: 1, containers: [container] },
  };
  const spec = { selector: { matchLabels: labels }, template };
  return { apiVersion: "apps/v1", kind: "Deployment", metadata: { name }, spec };
}

/** A server, its Service, and a client that calls it ten times a second. */
export function callers(image: string): readonly Manifest[] {
  const spec = { selector: { app: "server" }, ports: [{ name: "http", port: PORT }] };
  return [
    { apiVersion: "v1", kind: "Service", metadata: { name: "server" }, spec },
    program("server", image, SERVE),
    program("client", image, CALL),
  ];
}

/** What the client of {@link callers} has counted, from its log. */
export function counted(log: string): { readonly good: number; readonly bad: number } | undefined {
  const [, good, bad] = /good (\d+) bad (\d+)\n?$/.exec(log.trimEnd()) ?? [];
  return good === undefined ? undefined : { good: Number(good), bad: Number(bad) };
}

interface Built {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
}

/** The manifest of `pepr build` with another module in it: the same code and one comment more, as another release has. */
export function otherRelease(manifest: string): string {
  const objects = parseAllDocuments(manifest)
    .map(document => document.toJS() as Built | null)
    .filter(object => object !== null);
  const secret = objects.find(({ kind, metadata }) => kind === "Secret" && metadata.name.endsWith("-module"));
  const [[name, packed] = ["", ""]] = Object.entries(secret?.data ?? {});
  const before = /module-(\w+)\./.exec(name)?.[1] ?? "";
  const code = Buffer.concat([
    gunzipSync(Buffer.from(packed, "base64")),
    Buffer.from("\n// another release\n"),
  ]);
  const hash = createHash("sha256").update(code).digest("hex");
  Object.assign(secret ?? {}, { data: { [name]: gzipSync(code).toString("base64") } });
  return objects
    .map(object => stringify(object, { aliasDuplicateObjects: false }))
    .join("---\n")
    .replaceAll(before, hash);
}
