import { expect } from "chai";
import type { FleetTrust } from "../../../src/certificate/root-proof";
import type { RotationStep } from "../../../src/certificate/root-rotation";
import {
  OWN_STATUS_ANNOTATION,
  OWN_WITHOUT_ANNOTATION,
  OwnRootKeeper,
  ROTATE_OWN_ANNOTATION,
} from "../../../src/runtime/control-plane/own-root-keeper";
import type { KubeClient } from "../../../src/runtime/kube";
import { watchedLog } from "../../support/told-errors";
import { createRoot, loadAuthority } from "../../../src/runtime/secrets/authority";
import { EXTERNAL_VALIDITY_MS } from "../../../src/runtime/secrets/external-certificate";
import { FollowingAuthority, ownRootsText } from "../../../src/runtime/secrets/own-authority";

const HOUR_MS = 3_600_000;

/** The CA's Secret alone, as the API server keeps it. */
class OneSecret {
  annotations: Record<string, string> = {};
  data: Record<string, string> = {};
  onData: (text: string) => void = () => undefined;

  get client(): KubeClient {
    const refused = (): Promise<never> => Promise.reject(new Error("not asked for"));
    return {
      get: <T>() =>
        Promise.resolve({ metadata: { annotations: { ...this.annotations } }, data: this.data } as T),
      mergePatch: <T>(_path: string, body: unknown) => {
        this.patch(body as Parameters<OneSecret["patch"]>[0]);
        return Promise.resolve(body as T);
      },
      create: refused,
      apply: refused,
      jsonPatch: refused,
      delete: refused,
      watch: refused,
    };
  }

  annotate(annotations: Readonly<Record<string, string | null>>): void {
    const all = Object.entries({ ...this.annotations, ...annotations });
    this.annotations = Object.fromEntries(
      all.flatMap(([name, text]) => (text === null ? [] : [[name, text]])),
    );
  }

  private patch(body: {
    metadata: { annotations: Record<string, string | null> };
    data?: Record<string, string>;
  }): void {
    this.annotate(body.metadata.annotations);
    if (body.data === undefined) return;
    this.data = { ...this.data, ...body.data };
    this.onData(ownRootsText({ data: this.data }) ?? "");
  }
}

describe("the keeper of the control plane's own root", () => {
  let now: number;
  /** What the writer waits for; none: it is at work. */
  let due: (() => void)[];
  let secret: OneSecret;
  let steps: RotationStep[];
  let keeper: OwnRootKeeper;
  let authority: FollowingAuthority;
  let builtIn: ReturnType<typeof loadAuthority>;
  let absent: ReadonlyMap<string, string>;

  beforeEach(() => {
    now = Date.now();
    const { certPem, keyPem } = createRoot(now);
    builtIn = loadAuthority(certPem, keyPem);
    authority = new FollowingAuthority(builtIn);
    secret = new OneSecret();
    secret.onData = text => {
      authority.take(text);
    };
    steps = [];
    absent = new Map([["uid-away", "shop/away"]]);
    start();
  });
  afterEach(() => {
    keeper.stop();
  });

  const fleet = (): FleetTrust => {
    const own = { trust: authority.trustVersion, issuing: authority.fingerprint };
    const replicas = [{ trust: "", issuing: "", own }];
    return { complete: true, replicas, proxies: [{ name: "shop/one", own: authority.fingerprint }], absent };
  };

  /** A writer like the one before, which knows nothing of what that remembered. */
  const start = (): void => {
    due = [];
    keeper = new OwnRootKeeper({
      kube: secret.client,
      clock: { now: () => now, setTimeout: run => (due.push(run), { cancel: () => undefined }) },
      random: () => 0.5,
      log: watchedLog,
      settings: { osmNamespace: "osm-system" },
      builtIn,
      authority,
      fleet,
      isDistributed: () => true,
      filesTakeMs: 0,
      onStep: step => steps.push(step),
    });
  };

  /** Lets the writer look once more, some time later. */
  const look = async (laterMs = 3_000): Promise<void> => {
    while (due.length === 0) await new Promise(resolve => setImmediate(resolve));
    now += laterMs;
    for (const run of due.splice(0)) run();
    while (due.length === 0) await new Promise(resolve => setImmediate(resolve));
  };

  const moves = (): readonly string[] => steps.flatMap(({ made }) => made?.kind ?? []);

  const until = async (count: number): Promise<void> => {
    for (let left = 20; moves().length < count && left > 0; left -= 1) await look();
    expect(moves().length, secret.annotations[OWN_STATUS_ANNOTATION]).to.equal(count);
  };

  it("waits for who is away a day from when he was missed, whichever writer looks", async () => {
    secret.annotate({ [ROTATE_OWN_ANNOTATION]: "first" });
    await until(2);
    for (let hours = 0; hours < 22; hours += 1) {
      await look(HOUR_MS);
      if (hours % 5 !== 4) continue;
      keeper.stop();
      start();
    }
    expect(moves()).to.deep.equal(["trust", "issue"]);
    expect(secret.annotations[OWN_STATUS_ANNOTATION]).to.include("waiting for shop/away (not connected)");
    // He was missed by the first of these looks; the day over, the proof has to stand for a moment.
    await look(EXTERNAL_VALIDITY_MS - 21 * HOUR_MS);
    await look();
    expect(moves()).to.deep.equal(["trust", "issue", "drop"]);
  });

  it("goes on without whom the operator names, in that rotation alone", async () => {
    const without = { [OWN_WITHOUT_ANNOTATION]: "*" };
    secret.annotate({ [ROTATE_OWN_ANNOTATION]: "first", ...without });
    await until(3);
    expect(steps.at(-1)?.state.made.at(-1)?.without).to.deep.equal(["shop/away"]);
    expect(secret.annotations).to.not.have.property(OWN_WITHOUT_ANNOTATION);
    secret.annotate({ [ROTATE_OWN_ANNOTATION]: "second" });
    await until(5);
    for (let looks = 0; looks < 5; looks += 1) await look();
    expect(moves().length, "waits again").to.equal(5);
  });

  it("takes such a word away where nothing is under way", async () => {
    secret.annotate({ [OWN_WITHOUT_ANNOTATION]: "*" });
    await look();
    expect(secret.annotations).to.deep.equal({});
  });
});
