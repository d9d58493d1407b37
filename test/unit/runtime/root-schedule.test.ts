import { expect } from "chai";
import {
  initialRotation,
  type RotationState,
  type TrustedRoot,
} from "../../../src/certificate/root-rotation";
import { readRootObject, type RootObject } from "../../../src/runtime/control-plane/root-objects";
import { RootSchedule } from "../../../src/runtime/control-plane/root-schedule";
import { createOpenIssuer } from "../../../src/runtime/issuers/open";
import type { Issuer } from "../../../src/runtime/issuers/issuer";
import { KubeError, type KubeClient } from "../../../src/runtime/kube";
import { watchedLog } from "../../support/told-errors";

const OSM = "osm-system";
const HOUR_MS = 3_600_000;
const START = Date.parse("2026-01-01T00:00:00Z");

/** The one Secret, with versions as the API server has them. */
class OneSecret {
  data: Record<string, string> | undefined;
  version = 0;
  writes = 0;
  reads = 0;
  forbidden = false;

  readonly kube = {
    get: () => {
      this.reads += 1;
      if (this.data === undefined) return Promise.reject(refusal(404));
      return Promise.resolve({
        metadata: { name: "own", resourceVersion: `${this.version}` },
        data: this.data,
      });
    },
    create: (_path: string, object: { data: Record<string, string> }) => {
      this.put(object.data);
      return Promise.resolve(object);
    },
    mergePatch: (
      _path: string,
      patch: { metadata: { resourceVersion: string }; data: Record<string, string | null> },
    ) => {
      if (this.forbidden) return Promise.reject(refusal(403));
      if (patch.metadata.resourceVersion !== `${this.version}`) return Promise.reject(refusal(409));
      const merged = Object.entries({ ...this.data, ...patch.data }).filter(([, value]) => value !== null);
      this.put(Object.fromEntries(merged) as Record<string, string>);
      return Promise.resolve({});
    },
  } as unknown as KubeClient;

  private put(data: Record<string, string>): void {
    this.data = data;
    this.version += 1;
    this.writes += 1;
  }
}

function refusal(status: number): KubeError {
  return Object.assign(Object.create(KubeError.prototype) as KubeError, {
    status,
    message: `answer ${status}`,
  });
}

describe("a root with a schedule", () => {
  let now: number;
  let secret: OneSecret;
  let schedule: RootSchedule;
  let object: RootObject;
  const clock = { now: () => now, setTimeout: () => ({ cancel: () => undefined }) };
  const newSchedule = (): RootSchedule =>
    new RootSchedule({
      kube: secret.kube,
      osmNamespace: OSM,
      trustDomain: "cluster.local",
      clock,
      log: watchedLog,
    });
  const open = (fingerprint?: string): Promise<Issuer> =>
    createOpenIssuer({
      kube: secret.kube,
      osmNamespace: OSM,
      trustDomain: "cluster.local",
      clock,
      log: watchedLog,
    })(object.provider, "cluster.local", fingerprint);
  const rootOf = async (fingerprint?: string): Promise<TrustedRoot> => {
    const issuer = await open(fingerprint);
    return {
      fingerprint: issuer.fingerprint,
      owner: "own",
      anchorsPem: issuer.anchorsPem,
      provider: object.provider,
    };
  };
  const atRest = async (): Promise<RotationState> => initialRotation(await rootOf());
  const keys = (): readonly string[] => Object.keys(secret.data ?? {}).sort();

  beforeEach(async () => {
    now = START;
    secret = new OneSecret();
    object = readRootObject({
      metadata: { name: "own" },
      spec: {
        role: "active",
        rotation: { every: "720h" },
        provider: { tresor: { ca: { secretRef: { name: "own", namespace: OSM } } } },
      },
    } as unknown as Parameters<typeof readRootObject>[0]);
    schedule = newSchedule();
    const none = initialRotation({
      fingerprint: "0".repeat(16),
      owner: undefined,
      anchorsPem: "",
      provider: undefined,
    });
    expect(await schedule.look([object], none)).to.deep.equal(["own"]);
  });

  it("is given its first CA where there is none, and the next one when its time has come, not before", async () => {
    expect(keys()).to.deep.equal(["ca.crt", "private.key"]);
    expect(schedule.nextOf("own")).to.equal(START + 720 * HOUR_MS);
    const state = await atRest();
    now = START + 720 * HOUR_MS - 60_000;
    expect(await schedule.look([object], state)).to.deep.equal([]);
    now = START + 720 * HOUR_MS;
    expect(await schedule.look([object], state)).to.deep.equal(["own"]);
    expect(keys()).to.deep.equal(["ca.crt", "next-ca.crt", "next-private.key", "private.key"]);
    expect(schedule.nextOf("own")).to.equal(now + 720 * HOUR_MS);
  });

  it("issues from the one before until the rotation is over; then the old key goes, whoever writes by then", async () => {
    const state = await atRest();
    const old = await rootOf();
    now = START + 721 * HOUR_MS;
    await schedule.look([object], state);
    const next = await rootOf();
    expect(next.fingerprint).to.not.equal(old.fingerprint);
    expect((await open(old.fingerprint)).fingerprint, "the old one can still be had").to.equal(
      old.fingerprint,
    );
    const stages: readonly RotationState[] = [
      { ...state, roots: [old, next] },
      { ...state, roots: [old, next], issuing: next.fingerprint },
    ];
    for (const stage of stages) {
      schedule = newSchedule();
      now += 60_000;
      expect(await schedule.look([object], stage)).to.deep.equal([]);
      expect(secret.writes, "nothing is written while it is under way").to.equal(2);
    }
    schedule = newSchedule();
    await schedule.look([object], { ...state, roots: [next], issuing: next.fingerprint });
    expect(keys()).to.deep.equal(["ca.crt", "private.key"]);
    expect((await open()).fingerprint).to.equal(next.fingerprint);
    expect((await open(old.fingerprint)).fingerprint, "the old one is gone").to.equal(next.fingerprint);
  });

  it("waits while another rotation is under way, or its root does not issue", async () => {
    const state = await atRest();
    const other: TrustedRoot = { ...(await rootOf()), fingerprint: "f".repeat(16), owner: "other" };
    now = START + 800 * HOUR_MS;
    await schedule.look([object], { ...state, roots: [...state.roots, other] });
    now += 60_000;
    await schedule.look([object], { ...state, roots: [...state.roots, other], issuing: other.fingerprint });
    expect(secret.writes).to.equal(1);
  });

  it("reads no more often than at other times while a CA that is due has to wait", async () => {
    const state = await atRest();
    const other: TrustedRoot = { ...(await rootOf()), fingerprint: "f".repeat(16), owner: "other" };
    const waits = { ...state, roots: [...state.roots, other] };
    now = START + 721 * HOUR_MS;
    await schedule.look([object], waits);
    const { reads } = secret;
    for (let second = 1; second <= 60; second += 1) {
      now += 1_000;
      await schedule.look([object], waits);
    }
    expect(secret.reads - reads, "one each 15 s").to.equal(4);
    now += 15_000;
    expect(await schedule.look([object], state), "and goes on when it may").to.deep.equal(["own"]);
  });

  it("says which right is missing, and goes on with what there is", async () => {
    const state = await atRest();
    secret.forbidden = true;
    now = START + 721 * HOUR_MS;
    expect(await schedule.look([object], state)).to.deep.equal([]);
    expect(schedule.errorOf("own")).to.contain('"get" and "patch"');
    secret.forbidden = false;
    now += 60_000;
    expect(await schedule.look([object], state)).to.deep.equal(["own"]);
    expect(schedule.errorOf("own")).to.equal(undefined);
  });

  it("never touches the control plane's own CA, nor a Secret elsewhere", async () => {
    for (const place of [
      { name: "osm-ca-bundle", namespace: OSM },
      { name: "own", namespace: "default" },
    ]) {
      const wrong = { ...object, name: place.name, provider: { tresor: { ca: { secretRef: place } } } };
      expect(await schedule.look([wrong], await atRest())).to.deep.equal([]);
      expect(schedule.errorOf(wrong.name)).to.contain("one of its own");
    }
    expect(secret.writes).to.equal(1);
  });
});
