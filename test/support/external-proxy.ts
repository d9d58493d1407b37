import { once } from "node:events";
import { chownSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { proxyFiles } from "../../src/cli/proxy-files";
import { FILE_ADMIN_SOCKET, FILE_CERTIFICATE, FILE_KEY } from "../../src/injector/names";
import { ADS_PORT, CA_ROOT_KEY, SIDECAR_UID } from "../../src/model/mesh-words";
import { envoyAdmin, type EnvoyAdmin } from "./envoy-admin";
import type { NetworkPod } from "./netns";
import type { Workshop } from "./sidecar";
import { relaySocket } from "./socket-relay";
import { waitFor } from "./wait";

/** What an external proxy proves itself with and verifies the control plane by, PEM. */
export interface ProxyCredentials {
  readonly certificate: string;
  readonly key: string;
  readonly trust: string;
}

/** An Envoy outside of the cluster, with the very files that `osm proxy bootstrap` writes. */
export interface ExternalEnvoy extends EnvoyAdmin {
  /** Puts another certificate (and key) in place, as `osm proxy renew` does. */
  present(credentials: ProxyCredentials): void;
  log(): string;
  stop(): Promise<void>;
}

/** Leads a port of the machine's loopback to a socket of the file system; runs there. */
const IN_PLACE = `
const net = require("node:net");
const [port, socket] = process.argv.slice(1);
net.createServer(client => {
  const up = net.connect(socket);
  client.pipe(up).pipe(client);
  client.on("error", () => up.destroy());
  up.on("error", () => client.destroy());
  client.on("close", () => up.destroy());
  up.on("close", () => client.destroy());
}).listen(Number(port), "127.0.0.1", () => process.stdout.write("ready"));
`;

/**
 * The other half of that way, as bytes: TLS is between Envoy and the control plane, which knows machines by address, so each has
 * one of its own.
 */
function startRelay(socket: string, port: number, { ip }: NetworkPod): Promise<net.Server> {
  const localAddress = `127.0.0.${ip.split(".").at(-1) ?? "1"}`;
  return relaySocket(socket, () => net.connect({ host: "127.0.0.1", port, localAddress }));
}

/** Writes the folder and applies the redirect rules in the machine's place; `adsPort` is the control plane's on this one. */
export async function startExternalEnvoy(
  place: NetworkPod,
  workshop: Workshop,
  adsPort: number,
  credentials: ProxyCredentials,
): Promise<ExternalEnvoy> {
  const folder = path.join(workshop.folder, `external-${place.name}`);
  mkdirSync(path.join(folder, "run"), { recursive: true });
  const put = (name: string, text: string): void => {
    const next = path.join(folder, `.${name}.next`);
    writeFileSync(next, text, { mode: 0o600 });
    chownSync(next, SIDECAR_UID, SIDECAR_UID);
    renameSync(next, path.join(folder, name));
  };
  const present = ({ certificate, key, trust }: ProxyCredentials): void => {
    put(FILE_KEY, key);
    put(CA_ROOT_KEY, trust);
    put(FILE_CERTIFICATE, certificate);
  };
  const setup = { inboundExcludedPorts: [22], outboundRanges: [], ipv6: false };
  const owner = { namespace: "test", name: place.name, serviceAccount: place.name };
  const files = proxyFiles({ ...setup, adsAddress: `127.0.0.1:${ADS_PORT}`, folder }, owner);
  for (const [name, text] of Object.entries(files)) put(name, text);
  present(credentials);
  for (const owned of [folder, path.join(folder, "run")]) chownSync(owned, SIDECAR_UID, SIDECAR_UID);
  const socket = path.join(workshop.folder, `external-${place.name}.sock`);
  const relay = await startRelay(socket, adsPort, place);
  const way = place.start([process.execPath, "-e", IN_PLACE, String(ADS_PORT), socket]);
  await once(way.stdout ?? way, "data");
  const envoy = await runExternalEnvoy(place, workshop, folder);
  return {
    ...envoy,
    present,
    stop: async () => {
      relay.close();
      await envoy.stop();
    },
  };
}

/** Variables of an environment file. */
function variablesOf(file: string): Readonly<Record<string, string>> {
  const lines = readFileSync(file, "utf8").split("\n").filter(Boolean);
  return Object.fromEntries(lines.map(line => line.split(/=(.*)/s).slice(0, 2) as [string, string]));
}

/** Runs what the files of a folder say: the redirect rules, then Envoy as the sidecar's user, who owns the folder. */
export async function runExternalEnvoy(
  place: NetworkPod,
  workshop: Workshop,
  folder: string,
): Promise<Omit<ExternalEnvoy, "present">> {
  place.run(["sh", path.join(folder, "redirect.sh")]);
  const logFile = path.join(workshop.folder, `external-${place.name}.log`);
  const output = openSync(logFile, "a");
  const child = place.start(
    [
      workshop.envoy,
      ...["-c", path.join(folder, "envoy.json")],
      ...["--disable-hot-restart", "--concurrency", "1", "-l", "info"],
    ],
    {
      uid: SIDECAR_UID,
      stdio: ["ignore", output, output],
      env: { ...process.env, ...variablesOf(path.join(folder, "envoy.env")) },
    },
  );
  const admin = envoyAdmin(path.join(folder, "run", FILE_ADMIN_SOCKET));
  const log = (): string => (existsSync(logFile) ? readFileSync(logFile, "utf8") : "");
  await waitFor(
    `the admin socket of ${place.name}`,
    async () => {
      if (child.exitCode !== null) throw new Error(`Envoy of ${place.name} ended:\n${log().slice(-3000)}`);
      return (await admin.admin("/ready").catch(() => "")) !== "";
    },
    60_000,
  );
  return {
    ...admin,
    log,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
  };
}
