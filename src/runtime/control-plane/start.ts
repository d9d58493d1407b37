import { WEBHOOK_PORT } from "../../install/names";
import type { KubeClient } from "../kube";
import type { RootLog } from "../log";
import type { Clock } from "../ports";
import type { Role } from "../role";
import { writes } from "../role";
import { ensureAuthority } from "../secrets/ca-secret";
import type { Settings } from "../settings";
import type { MeshActions } from "./actions";
import { ensureGuards, ensureMeshConfig } from "./bootstrap";
import { step } from "./bounded";
import type { Duties } from "./duties";
import { startDuties } from "./duties";
import { followNamespaces } from "./namespaces";
import { ensureWebhookIdentity, followWebhookIdentity, renewWebhookIdentity } from "./webhook-identity";
import type { MutableEnv } from "./webhook-server";
import { handToPepr, steerWebhookServer } from "./webhook-server";

/** What a control plane is started with. */
export interface ControlPlaneOptions {
  readonly role: Role;
  readonly kube: KubeClient;
  readonly settings: Settings;
  readonly log: RootLog;
  readonly clock: Clock;
  /** Numbers in [0, 1) for jitter. */
  readonly random: () => number;
  /** Where Pepr looks for its certificate; written to. */
  readonly env: MutableEnv;
}

/** A control plane that is ready. */
export interface ControlPlane {
  readonly actions: MeshActions;
  /** To be called when Pepr's module has been constructed: the duties of the single writer begin, where this is it. */
  constructed(): void;
  stop(): Promise<void>;
}

/** Time for one step of the start. All steps together must stay below the 40 s after which the kubelet gives up. */
const STEP_MS = 15_000;

/** Starts everything a role needs, each step within its time; resolves when this process is ready to serve. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { role, kube, settings, log, clock, env } = options;
  const around = { clock, log, ms: STEP_MS };
  const bootstrap = { kube, clock, log, settings, mayChange: writes(role) };
  await step("namespace and admission policy", () => ensureGuards(bootstrap), around);
  await step("default MeshConfig", () => ensureMeshConfig(bootstrap), around);
  const authorityOptions = { kube, namespace: settings.osmNamespace, now: () => clock.now(), log };
  const authority = await step("root certificate", () => ensureAuthority(authorityOptions), around);
  let identity = await step("webhook identity", () => ensureWebhookIdentity(kube, settings, clock), around);
  handToPepr(identity, settings.temporaryFolder, env);
  const server = steerWebhookServer(WEBHOOK_PORT);
  const namespaces = followNamespaces(settings, options);
  await step("namespaces", () => namespaces.synced, around);

  let duties: Duties | undefined;
  const follower = followWebhookIdentity(settings, options, next => {
    identity = next;
    server.present(next);
    duties?.present(next);
  });
  return {
    actions: {
      admitPod: () => Promise.resolve({ kind: "leave" }),
      faults: () => [],
      reconcile: () => undefined,
      tick: async () => {
        try {
          await renewWebhookIdentity(kube, settings, identity, clock.now());
        } catch (error) {
          log.error("renewal failed, tried again in a minute", { error: String(error) });
        }
      },
    },
    constructed() {
      log.info("ready");
      if (!writes(role)) return;
      duties = startDuties({
        ...options,
        namespaces,
        identity,
        rootsPem: () => authority.certPem,
        inCluster: role !== "dev",
      });
    },
    stop: () => {
      duties?.stop();
      follower.stop();
      namespaces.stop();
      server.stop();
      return Promise.resolve();
    },
  };
}
