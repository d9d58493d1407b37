/** Places at certificates: issuers, those who are told of leaves and roots, renewals, scheduled rotations. */
import { expect } from "chai";
import { initialRotation, type RotationState } from "../../../../src/certificate/root-rotation";
import { printOwnRoots } from "../../../../src/certificate/own-root";
import { printRotation } from "../../../../src/certificate/rotation-record";
import { SDS_SERVICE_CERT } from "../../../../src/model/mesh-words";
import { readRootObject, type RootObject } from "../../../../src/runtime/control-plane/root-objects";
import { RootSchedule } from "../../../../src/runtime/control-plane/root-schedule";
import type { Issuer } from "../../../../src/runtime/issuers/issuer";
import { KubeError, type KubeClient, type WatchEvent } from "../../../../src/runtime/kube";
import { containedClock } from "../../../../src/runtime/contained";
import { createRoot, loadAuthority } from "../../../../src/runtime/secrets/authority";
import { FollowingAuthority } from "../../../../src/runtime/secrets/own-authority";
import { followRoots } from "../../../../src/runtime/secrets/root-follower";
import { builtInRoot } from "../../../../src/runtime/secrets/root-record";
import { keepServingRenewed } from "../../../../src/runtime/secrets/serving-renewal";
import { createWorkloadSecrets, rootsOf } from "../../../../src/runtime/secrets/workload-secrets";
import type { Log } from "../../../../src/runtime/ports";
import { findResource, type ResourceSet } from "../../../../src/xds/resource";
import { TURNED_START, TurnedClock } from "../../../support/turned-clock";
import { listing, settled, throws, type Place } from "./place";

const [one, other] = [createRoot(TURNED_START), createRoot(TURNED_START)];
const authority = loadAuthority(one.certPem, one.keyPem);
const second = loadAuthority(other.certPem, other.keyPem);
const good = { namespace: "shop", serviceAccount: "good" };
const bad = { namespace: "shop", serviceAccount: "bad" };

function source(log: Log, issue: Issuer["issue"] = plan => authority.issue(plan)) {
  const { fingerprint, anchorsPem } = authority;
  const clock = new TurnedClock();
  const roots = rootsOf({ fingerprint, anchorsPem, issue });
  const secrets = createWorkloadSecrets({ roots, trustDomain: "mesh", validityMs: 3_600_000, clock, log });
  return { secrets, clock };
}

const hasLeaf = (set: ResourceSet | undefined): boolean =>
  set !== undefined && findResource(set, SDS_SERVICE_CERT) !== undefined;

type Refusal = () => never | Promise<never>;

/** An issuer that fails for one identity: at once, or later. */
const issuerPlace = (name: string, refuse: Refusal): Place => ({
  name: `issuer, for one identity: ${name}`,
  told: '"identity":"shop/bad"',
  look: async log => {
    const { secrets, clock } = source(log, plan =>
      JSON.stringify(plan).includes("/sa/bad") ? refuse() : authority.issue(plan),
    );
    let last: ResourceSet | undefined;
    secrets.subscribe(bad, () => undefined);
    secrets.subscribe(good, set => (last = set));
    await clock.passSlowly(1);
    expect(hasLeaf(last)).to.equal(true);
    expect(secrets.given().trouble).to.equal("thrown on purpose");
    secrets.stop();
  },
});

const LEAVES: readonly Place[] = [
  issuerPlace("at once", throws),
  issuerPlace("later", () => Promise.resolve().then(throws)),
  {
    name: "who subscribes to secrets",
    told: '"identity":"shop/bad"',
    look: async log => {
      const { secrets, clock } = source(log);
      let last: ResourceSet | undefined;
      secrets.subscribe(bad, throws);
      secrets.subscribe(bad, set => (last = set));
      await clock.passSlowly(1);
      expect(hasLeaf(last), "the other of the same identity").to.equal(true);
      expect(secrets.trouble(), "nothing is wrong with the issuer").to.equal(undefined);
      secrets.stop();
    },
  },
  {
    name: "who subscribes to secrets that come later",
    told: '"identity":"shop/bad"',
    look: async log => {
      const { secrets, clock } = source(log, async plan => {
        await Promise.resolve();
        return authority.issue(plan);
      });
      let calls = 0;
      let last: ResourceSet | undefined;
      secrets.subscribe(bad, () => (calls++ === 0 ? undefined : throws()));
      secrets.subscribe(bad, set => (last = set));
      await clock.passSlowly(1);
      expect(hasLeaf(last)).to.equal(true);
      secrets.stop();
    },
  },
  {
    name: "who is told of each leaf",
    told: "a leaf was issued",
    look: log => {
      const { secrets } = source(log);
      secrets.onIssued(throws);
      let last: ResourceSet | undefined;
      secrets.subscribe(good, set => (last = set));
      expect(hasLeaf(last)).to.equal(true);
      secrets.stop();
    },
  },
  {
    name: "who is told of an issuer's trouble",
    told: "trouble of an issuer",
    look: log => {
      const { secrets } = source(log, throws);
      let told = 0;
      secrets.onTrouble(throws);
      secrets.onTrouble(() => (told += 1));
      secrets.subscribe(good, () => undefined);
      expect([told, secrets.trouble()?.waiting]).to.deep.equal([1, 1]);
      secrets.stop();
    },
  },
  {
    name: "look at whether a leaf is to be renewed",
    told: "contained: renewal of a leaf",
    look: log => {
      const turned = new TurnedClock();
      let isBad = false;
      const now = (): number => {
        const throwing = isBad;
        isBad = false;
        return throwing ? throws() : turned.now();
      };
      const clock = { now, setTimeout: turned.setTimeout.bind(turned) };
      const { fingerprint, anchorsPem } = authority;
      let issued = 0;
      const issue: Issuer["issue"] = plan => {
        issued += 1;
        return authority.issue(plan);
      };
      const roots = rootsOf({ fingerprint, anchorsPem, issue });
      const validityMs = 3_600_000;
      const secrets = createWorkloadSecrets({ roots, trustDomain: "mesh", validityMs, clock, log });
      secrets.subscribe(good, () => undefined);
      isBad = true;
      turned.pass(validityMs);
      secrets.stop();
      expect([isBad, issued > 1], "thrown, and renewed all the same").to.deep.equal([false, true]);
    },
  },
  {
    name: "renewal of a server's certificate",
    told: "contained: timer",
    look: log => {
      const turned = new TurnedClock();
      let asked = 0;
      const validityMs = 3_600_000;
      const pair = (): ReturnType<typeof authority.issue> => ({
        certPem: "",
        keyPem: "",
        notAfter: turned.now() + validityMs,
        serial: "1",
      });
      const present = (): ReturnType<typeof authority.issue> => (asked++ === 0 ? throws() : pair());
      const renewal = keepServingRenewed(pair(), { clock: containedClock(turned, log), validityMs, present });
      turned.pass(validityMs);
      renewal.stop();
      expect(asked).to.be.above(1);
    },
  },
];

/** Another root is trusted as well. */
function twoRoots(): RotationState {
  const state = initialRotation(builtInRoot(authority));
  return { ...state, roots: [...state.roots, { ...builtInRoot(second), owner: "next" }] };
}

const ROOTS: readonly Place[] = [
  {
    name: "listener of the control plane's own root",
    told: "the own root has changed",
    look: log => {
      const following = new FollowingAuthority(authority, undefined, log);
      let told = 0;
      following.onChange(throws);
      following.onChange(() => (told += 1));
      following.take(printOwnRoots({ rotation: twoRoots(), keys: {}, asked: "" }));
      expect(told).to.equal(1);
    },
  },
  {
    name: "listener of the workloads' roots",
    told: "roots have changed",
    look: async log => {
      let say: (event: WatchEvent) => void = () => undefined;
      const kube = listing(
        {},
        {
          get: <T>() => Promise.resolve({ metadata: { resourceVersion: "1" }, items: [] } as T),
          watch: (_path, onEvent) => {
            say = onEvent;
            return new Promise(() => undefined);
          },
        },
      );
      const openIssuer = (): Promise<never> => Promise.reject(new Error("nobody asks"));
      const options = { kube, clock: new TurnedClock(), random: () => 0.5, log, openIssuer };
      const follower = await followRoots({ ...options, namespace: "osm", authority, trustDomain: "mesh" });
      const before = follower.roots().trustVersion;
      let told = "";
      follower.onRoots(throws);
      follower.onRoots(({ trustVersion }) => (told = trustVersion));
      await settled();
      const data = { "rotation.json": Buffer.from(printRotation(twoRoots())).toString("base64") };
      const object = { metadata: { name: "osm-ca-bundle", namespace: "osm", resourceVersion: "2" }, data };
      say({ type: "MODIFIED", object });
      await settled();
      follower.stop();
      expect(told).to.equal(follower.roots().trustVersion).and.not.equal(before);
    },
  },
  {
    name: "one of the scheduled roots",
    told: '"root":"bad"',
    look: async log => {
      const root = (name: string): RootObject =>
        readRootObject({
          metadata: { name },
          spec: {
            role: "active",
            rotation: { every: "720h" },
            provider: { tresor: { ca: { secretRef: { name, namespace: "osm" } } } },
          },
        } as unknown as Parameters<typeof readRootObject>[0]);
      const made: string[] = [];
      const kube = {
        get: (path: string) =>
          path.endsWith("/bad") ? throws() : Promise.reject(new KubeError(404, "NotFound", "404")),
        create: (_path: string, object: { readonly metadata: { readonly name: string } }) => {
          made.push(object.metadata.name);
          return Promise.resolve(object);
        },
        mergePatch: throws,
      } as unknown as KubeClient;
      const schedule = new RootSchedule({
        kube,
        osmNamespace: "osm",
        trustDomain: "mesh",
        clock: new TurnedClock(),
        log,
      });
      const state = initialRotation(builtInRoot(authority));
      expect(await schedule.look([root("bad"), root("good")], state)).to.deep.equal(["good"]);
      expect(made).to.deep.equal(["good"]);
      expect(schedule.errorOf("bad")).to.equal("thrown on purpose");
      await settled();
    },
  },
];

/** All of them. */
export const CERTIFICATES: readonly Place[] = [...LEAVES, ...ROOTS];
