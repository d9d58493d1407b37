import { spawn } from "node:child_process";
import { mkdtempSync, mkdirSync, readFileSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import os from "node:os";
import path from "node:path";
import { envoyBinary } from "../../hack/envoy/binary";
import { bootstrap, sdsDocuments } from "../../src/injector/bootstrap";
import { FILE_ADMIN_SOCKET, FILE_ROOT_SDS, FILE_TOKEN, FILE_TOKEN_SDS } from "../../src/injector/names";
import { CA_ROOT_KEY } from "../../src/model/mesh-words";
import { envoyAdmin, type EnvoyAdmin } from "./envoy-admin";
import { waitFor } from "./wait";

/** A real Envoy on loopback with the bootstrap of injected pods, which proves itself to a real ADS server. */
export interface AdsEnvoy extends EnvoyAdmin {
  /** Puts another token in place, as the kubelet does. */
  setToken(token: string): void;
  /** Puts other roots of the control plane in place, as the kubelet does. */
  setRoot(root: string): void;
  log(): string;
  stop(): Promise<void>;
}

/** How an Envoy finds and proves itself to ADS. */
export interface AdsEnvoyOptions {
  readonly adsPort: number;
  readonly token: string;
  /** PEM of the root that verifies ADS. */
  readonly root: string;
  readonly nodeId?: string;
}

/** Starts an Envoy and waits for its admin socket. */
export async function startAdsEnvoy(options: AdsEnvoyOptions): Promise<AdsEnvoy> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "osm-ads-envoy-"));
  const paths = { identity: path.join(folder, "identity"), run: path.join(folder, "run") };
  mkdirSync(paths.identity);
  mkdirSync(paths.run);
  const put = (name: string, text: string): void => {
    writeFileSync(path.join(folder, name), text);
    renameSync(path.join(folder, name), path.join(paths.identity, name));
  };
  const documents = sdsDocuments(paths);
  put(CA_ROOT_KEY, options.root);
  put(FILE_TOKEN, options.token);
  put(FILE_TOKEN_SDS, documents.token);
  put(FILE_ROOT_SDS, documents.root);
  const config = bootstrap(
    { adsAddress: `127.0.0.1:${options.adsPort}`, routes: [], metrics: false, ipv6: false },
    paths,
  );
  const log = openSync(path.join(folder, "envoy.log"), "a");
  const id = options.nodeId ?? "sidecar";
  const child = spawn(
    await envoyBinary(),
    [
      "--config-yaml",
      JSON.stringify(config),
      "--service-node",
      id,
      "--service-cluster",
      "test",
      "-l",
      "warning",
      "--concurrency",
      "1",
      "--use-dynamic-base-id",
    ],
    { stdio: ["ignore", log, log] },
  );
  const admin = envoyAdmin(path.join(paths.run, FILE_ADMIN_SOCKET));
  const readLog = (): string => readFileSync(path.join(folder, "envoy.log"), "utf8");
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    }
    rmSync(folder, { recursive: true, force: true });
  };
  await waitFor(
    "Envoy's admin socket",
    () =>
      admin.admin("/ready").then(
        () => true,
        () => false,
      ),
    60_000,
  ).catch(async (error: unknown) => {
    const text = readLog();
    await stop();
    throw new Error(`${String(error)}\n${text}`);
  });
  return {
    ...admin,
    setToken: token => {
      put(FILE_TOKEN, token);
    },
    setRoot: root => {
      put(CA_ROOT_KEY, root);
    },
    log: readLog,
    stop,
  };
}
