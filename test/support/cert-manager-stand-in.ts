import { planServing, type CertificatePlan } from "../../src/certificate/plan";
import type { KubeClient, KubeObject } from "../../src/runtime/kube";
import { isNotFound } from "../../src/runtime/kube/errors";
import { startInformer } from "../../src/runtime/kube/informer";
import { watchedLog } from "./told-errors";
import type { Clock } from "../../src/runtime/ports";
import type { Fault } from "./issuer-contract";
import type { OpensslCa } from "./openssl-ca";
import { waitFor } from "./wait";

const DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const GROUP = "cert-manager.io";
const NAME = `certificaterequests.${GROUP}`;

/** What is played with. */
export interface PlayedOptions {
  readonly kube: KubeClient;
  readonly namespace: string;
  readonly ca: OpensslCa;
  /** Issues where another CA than the expected one is played. */
  readonly otherCa: OpensslCa;
  readonly clock: Clock;
}

/** A cert-manager that is played. */
export interface PlayedCertManager {
  readonly possible: readonly Fault[];
  set(fault: Fault | undefined): Promise<void>;
  /** Something to ask for. */
  plan(): CertificatePlan;
  stop(): Promise<void>;
}

interface Asked {
  readonly name: string;
  readonly csrPem: string;
  readonly seconds: number;
  readonly answered: boolean;
}

interface RequestObject extends KubeObject {
  readonly spec?: { readonly request?: string; readonly duration?: string };
  readonly status?: { readonly conditions?: readonly unknown[] };
}

/** Installs the kind CertificateRequest without cert-manager's schema, and waits until it is served. */
export async function installRequestKind(kube: KubeClient): Promise<void> {
  const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
  const version = { name: "v1", served: true, storage: true, schema, subresources: { status: {} } };
  const names = { kind: "CertificateRequest", plural: "certificaterequests" };
  await kube.create(DEFINITIONS, {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: NAME },
    spec: { group: GROUP, scope: "Namespaced", names, versions: [version] },
  });
  await waitFor("the kind to be served", () => isServed(kube), 60_000);
}

async function isServed(kube: KubeClient): Promise<boolean> {
  try {
    await kube.get(`/apis/${GROUP}/v1/certificaterequests`);
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** Go's durations of the form `1h2m3s`, in seconds; the API server keeps what it was given. */
function secondsOf(duration: string): number {
  const factor = { h: 3_600, m: 60, s: 1 } as const;
  let seconds = 0;
  for (const [, count, unit] of duration.matchAll(/(\d+)([hms])/g))
    seconds += Number(count) * factor[unit as keyof typeof factor];
  return seconds;
}

/**
 * NOT cert-manager: answers CertificateRequests of a namespace as cert-manager 1.11 documents it, with certificates that
 * OpenSSL signs, and plays what a real one does not do at hand. The real controller is asked by the same contract in
 * `test:long`.
 */
export function playCertManager(options: PlayedOptions): PlayedCertManager {
  const { kube, namespace, clock } = options;
  let fault: Fault | undefined;
  const path = `/apis/${GROUP}/v1/namespaces/${namespace}/certificaterequests`;
  const seen = new Set<string>();
  const work = new Set<Promise<void>>();
  const answer = async (asked: Asked): Promise<void> => {
    if (asked.answered || seen.has(asked.name)) return;
    seen.add(asked.name);
    const status = await statusFor(asked, options, fault);
    if (status === undefined) return;
    await kube.mergePatch(`${path}/${asked.name}/status`, { status }).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
  };
  const take = (asked: Asked): void => {
    const done = answer(asked).finally(() => work.delete(done));
    work.add(done);
  };
  const informer = startInformer<Asked>({
    kube,
    clock,
    log: watchedLog,
    random: () => 0.5,
    source: {
      kind: "CertificateRequest",
      path,
      project: object => {
        const { metadata, spec, status } = object as RequestObject;
        const csrPem = Buffer.from(spec?.request ?? "", "base64").toString("utf8");
        const answered = (status?.conditions ?? []).length > 0;
        return { name: metadata.name, csrPem, seconds: secondsOf(spec?.duration ?? ""), answered };
      },
    },
    onChange: change => {
      if (change.type === "upsert") take(change.value);
      if (change.type === "reset") change.entries.forEach(take);
    },
  });
  return {
    possible: ["slow", "refusing", "garbage", "another key", "other names", "too long", "another CA"],
    set: next => {
      fault = next;
      return Promise.resolve();
    },
    plan: () => planServing(["a"], { now: clock.now(), validityMs: 60_000 }),
    stop: async () => {
      informer.stop();
      await Promise.allSettled([...work]);
    },
  };
}

function condition(type: string, status: string, reason: string, message: string): unknown {
  return { type, status, reason, message, lastTransitionTime: new Date().toISOString() };
}

/** undefined: no answer at all. */
async function statusFor(
  { csrPem, seconds }: Asked,
  { ca, otherCa }: PlayedOptions,
  fault: Fault | undefined,
): Promise<unknown> {
  if (fault === "slow") return undefined;
  if (fault === "refusing")
    return {
      conditions: [
        condition("Denied", "True", "Denied", "not for you"),
        condition("Ready", "False", "Denied", "The CertificateRequest was denied"),
      ],
    };
  const encode = (text: string): string => Buffer.from(text, "utf8").toString("base64");
  const ready = [condition("Approved", "True", "Approved", ""), condition("Ready", "True", "Issued", "")];
  if (fault === "garbage") return { conditions: ready, certificate: encode("no certificate") };
  const issuer = fault === "another CA" ? otherCa : ca;
  const csr = fault === "another key" ? await issuer.foreignRequest() : csrPem;
  const life = seconds * (fault === "too long" ? 24 : 1);
  const leaf = await issuer.sign(csr, life, fault === "other names" ? "thief" : "asked");
  return {
    conditions: ready,
    certificate: encode(leaf + issuer.intermediatePem),
    ca: encode(issuer.rootPem),
  };
}
