import type { ClusterSettings } from "../cluster/settings";
import { APP_PORT } from "./apps/settings";
import type { KnockResult } from "./apps/knock";
import { proveEncryption, type Sighting } from "./capture/proof";
import { MESH_CONFIG_PLACE, patchMeshConfig, readSwitches, tryPatchMeshConfig } from "./control-plane";
import { numberOf } from "./counters";
import type { Kubectl } from "./kubectl";
import { applicationManifests, asList, OUTSIDE } from "./manifests";
import { podOf, untilReady, wronglyInjected, type DemoPod } from "./pods";
import type { Screen } from "./screen";
import { rise, type Counter, type Watch } from "./watch";

/** Pods before bookstore-v2 comes: one of each program, and the database. */
const FIRST_PODS = 6;

/** Time for counters to move: a proxy's start and a slow machine included. */
export const MOVE_MS = 120_000;

/** What the steps of the story work with. */
export interface Stage {
  readonly kubectl: Kubectl;
  readonly screen: Screen;
  readonly watch: Watch;
  /** The embedded cluster, or undefined on a cluster of the user's own. */
  readonly embedded: ClusterSettings | undefined;
  /** What was shown to be true, for the summary. */
  readonly shown: string[];
}

/** Keeps a fact for the summary, and says it. */
export function proved(stage: Stage, fact: string): void {
  stage.shown.push(fact);
  stage.screen.say(fact);
}

/** Books that bookbuyer has. */
export const bought: Counter = { program: "bookbuyer", name: "booksBought" };
/** Books that bookthief has. */
export const stolen: Counter = { program: "bookthief", name: "booksStolen" };
/** Books in the warehouse's database. */
export const restocked: Counter = { program: "bookwarehouse", name: "booksRestocked" };
const outsideAnswered: Counter = { program: "bookbuyer", name: "outsideAnswered" };
const outsideRefused: Counter = { program: "bookbuyer", name: "outsideRefused" };

/** Puts the applications into their namespaces and waits for their pods, each with the sidecar it should have. */
export async function startApplications(
  kubectl: Kubectl,
  note: (line: string) => void,
): Promise<readonly DemoPod[]> {
  await kubectl.must(["apply", "-f", "-"], asList(applicationManifests()));
  const pods = await untilReady(kubectl, FIRST_PODS, note);
  const wrong = wronglyInjected(pods);
  if (wrong.length > 0) throw new Error(`sidecars are not where they should be: ${wrong.join(", ")}`);
  return pods;
}

/** Everybody is served in permissive mode, through sidecars, down to the database. */
export async function everybodyIsServed(stage: Stage): Promise<void> {
  stage.screen.title("Permissive mode: whoever is in the mesh is served, bookthief too");
  await stage.watch.untilRisen([bought, stolen, restocked, outsideAnswered], 3, MOVE_MS);
  proved(stage, "books are bought, stolen and restocked through sidecars, the last ones in a real database");
}

async function knock(stage: Stage, program: string, url: string): Promise<KnockResult> {
  const command = ["/usr/local/bin/node", "/app/main.js", "knock", url];
  const where = ["-n", program, `deployment/${program}`, "-c", program];
  return JSON.parse(await stage.kubectl.must(["exec", ...where, "--", ...command])) as KnockResult;
}

/** A pod without a sidecar has no certificate, so the bookstore's sidecar does not let it in. */
export async function outsiderIsRefused(stage: Stage): Promise<void> {
  stage.screen.title(`${OUTSIDE} has no sidecar: can it read the bookstore?`);
  const url = `http://bookstore.bookstore:${APP_PORT}/books-bought`;
  const inside = await knock(stage, "bookthief", url);
  if (inside.status !== 200)
    throw new Error(`bookthief, in the mesh, got ${JSON.stringify(inside)} from ${url}`);
  const outside = await knock(stage, OUTSIDE, url);
  if (outside.status !== 0)
    throw new Error(`${OUTSIDE}, not in the mesh, got ${JSON.stringify(outside)} from ${url}`);
  proved(
    stage,
    `a pod in the mesh reads ${url}; one without sidecar is refused (${outside.error ?? "no answer"})`,
  );
}

function sightingLines(seen: Sighting): string[] {
  const client = seen.client ?? { version: "not captured", alpn: [] };
  return [
    `${seen.bytes} bytes on the wire`,
    `client hello: ${client.version}, protocols ${client.alpn.join(" ") || "none"}`,
    `server hello: ${seen.server?.version ?? "not captured"}`,
    `marker readable between the pods: ${seen.markerOnTheWire ? "YES" : "no"}`,
    `marker readable on the server pod's loopback (the control): ${seen.markerOnLoopback ? "yes" : "NO"}`,
  ];
}

/** What travels between two pods, seen by a third party. */
export async function wireIsEncrypted(stage: Stage, pods: readonly DemoPod[]): Promise<void> {
  const { kubectl, screen, embedded } = stage;
  screen.title("A capture between two pods: bookthief asks bookwarehouse, with a marker in its request");
  if (embedded === undefined) {
    screen.say("left out: it needs root on the node, which only the embedded cluster gives");
    screen.say("by hand: tcpdump -i any -A tcp port 14001, on the node of bookwarehouse's pod");
    return;
  }
  const client = podOf(pods, "bookthief");
  const server = podOf(pods, "bookwarehouse");
  const url = `http://bookwarehouse.bookwarehouse:${APP_PORT}/`;
  const seen = await proveEncryption({
    kubectl,
    settings: embedded,
    client,
    server,
    container: "bookthief",
    url,
  });
  screen.say(`between ${client.status.podIP} and ${server.status.podIP}:`);
  for (const line of sightingLines(seen)) screen.say(`  ${line}`);
  if (seen.markerOnTheWire) throw new Error("the marker was readable between the pods");
  if (seen.server?.version !== "TLS 1.3") throw new Error("the connection between the pods is not TLS 1.3");
  proved(stage, "between pods: TLS 1.3, and nothing of the request readable");
}

/** A second version joins behind the same Service. */
export async function secondVersionJoins(stage: Stage): Promise<void> {
  stage.screen.title("bookstore-v2 joins behind the Service bookstore");
  await stage.kubectl.must(["-n", "bookstore", "scale", "deployment/bookstore-v2", "--replicas=1"]);
  await stage.watch.untilRisen([{ program: "bookbuyer", name: "booksBoughtV2" }], 2, MOVE_MS);
  proved(stage, "bookstore-v2 sells as soon as its pod is ready; nobody was told");
}

/** A switch of the MeshConfig is turned while traffic flows, and turned back whatever happens. */
export async function egressIsSwitched(stage: Stage): Promise<void> {
  const { kubectl, screen, watch } = stage;
  screen.title("MeshConfig traffic.enableEgress: false, while traffic flows");
  const before = (await readSwitches(kubectl)).enableEgress;
  try {
    screen.say(
      `kubectl patch ${MESH_CONFIG_PLACE} --type=merge -p '{"spec":{"traffic":{"enableEgress":false}}}'`,
    );
    let began = Date.now();
    await patchMeshConfig(kubectl, { traffic: { enableEgress: false } });
    const start = watch.reading;
    await watch.untilRisen([outsideRefused], 2, MOVE_MS);
    const took = ((Date.now() - began) / 1000).toFixed(1);
    const after = await watch.untilRisen([bought, outsideRefused], 3, MOVE_MS);
    const failed = rise(start, after, { program: "bookbuyer", name: "failed" });
    proved(
      stage,
      `calls out of the mesh are refused (second refusal seen ${took} s after the edit); ` +
        `${rise(start, after, bought)} books bought meanwhile, ${failed} failed`,
    );
    screen.title("MeshConfig traffic.enableEgress: true again");
    began = Date.now();
    await patchMeshConfig(kubectl, { traffic: { enableEgress: true } });
    await watch.untilRisen([outsideAnswered], 2, MOVE_MS);
    proved(
      stage,
      `calls out of the mesh are answered again (${((Date.now() - began) / 1000).toFixed(1)} s after)`,
    );
  } finally {
    await patchMeshConfig(kubectl, { traffic: { enableEgress: before } });
  }
}

/** What cannot work is refused at the door, with a reason. */
export async function nonsenseIsRefused(stage: Stage): Promise<void> {
  stage.screen.title("A MeshConfig that cannot work: highest TLS version below the lowest");
  const sidecar = { tlsMinProtocolVersion: "TLSv1_3", tlsMaxProtocolVersion: "TLSv1_2" };
  const refusal = await tryPatchMeshConfig(stage.kubectl, { sidecar });
  if (refusal === undefined) {
    await patchMeshConfig(stage.kubectl, { sidecar: { ...sidecar, tlsMaxProtocolVersion: "TLSv1_3" } });
    throw new Error("it was accepted");
  }
  const reason = refusal.replaceAll("\n", " ");
  for (const field of Object.keys(sidecar)) {
    if (!reason.includes(field)) throw new Error(`refused without naming ${field}: ${reason}`);
  }
  proved(stage, `a MeshConfig that cannot work is refused: ${reason.slice(-220)}`);
}

/** The last numbers, for the summary. */
export function closingNumbers(stage: Stage): string {
  const of = ({ program, name }: Counter): number => numberOf(stage.watch.reading, program, name);
  const versions = ["booksBoughtV1", "booksBoughtV2"].map(name => of({ program: "bookbuyer", name }));
  return (
    `${of(bought)} books bought (v1 ${versions[0] ?? 0}, v2 ${versions[1] ?? 0}), ${of(stolen)} stolen, ` +
    `${of(restocked)} restocked`
  );
}
