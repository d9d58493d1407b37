/** A mesh of real parts under one kind of fault at a time, and what its requests come to. */
import { expect } from "chai";
import { ADS_SERVICE } from "../../src/model/mesh-words";
import { waitFor } from "../support/wait";
import type { Replica } from "./control-plane";
import type { Link } from "./link";
import { Stage, type Size } from "./stage";

/** Between two requests of a flow, milliseconds; three of the six flows are allowed. */
const EVERY_MS = process.env["OSM_FULL"] === "1" ? 100 : 200;
/** Simulated proxies beside five Envoys. */
export const CROWD = 7;
const LIMIT_MS = 180_000;

/** What a number of requests has come to. */
export interface Tally {
  /** Of allowed ones that did not get their answer. */
  readonly failed: readonly string[];
  /** Of forbidden ones that got one. */
  readonly passed: readonly string[];
  readonly all: number;
}

/** A mesh, by default of one process of the control plane. */
export class Scene {
  private constructor(
    readonly stage: Stage,
    private readonly size: Size,
    private readonly findings: readonly string[],
  ) {}

  static async start(size: Partial<Size> = {}): Promise<Scene> {
    const findings: string[] = [];
    const all = { replicas: 1, crowd: CROWD, ...size };
    const stage = await Stage.start(all, text => findings.push(text));
    const scene = new Scene(stage, all, findings);
    await scene.everybodyThere();
    await stage.begin(EVERY_MS);
    await scene.steady();
    return scene;
  }

  /** The process that writes; without replicas the only one. */
  get plane(): Replica {
    const [replica] = this.stage.controlPlane.replicas;
    if (replica === undefined) throw new Error("no control plane");
    return replica;
  }

  /** The milliseconds until all proxies are connected. */
  async everybodyThere(): Promise<number> {
    const began = performance.now();
    const wanted = this.stage.sidecars.length + this.size.crowd;
    const there = async (): Promise<boolean> => (await this.streams()) === wanted;
    await waitFor("every proxy at the control plane", there, LIMIT_MS);
    return Math.round(performance.now() - began);
  }

  /** The way of the simulated proxies to ADS. */
  get crowd(): readonly Link[] {
    const { sidecars } = this.stage;
    return this.stage.links("all").filter(link => sidecars.every(({ ads }) => ads !== link));
  }

  /** Streams of proxies at all processes that are there. */
  private async streams(): Promise<number> {
    const ready = this.stage.controlPlane.replicas.filter(({ adsPort }) => adsPort !== undefined);
    const facts = await Promise.all(ready.map(replica => replica.facts().catch(() => undefined)));
    return facts.reduce((sum, each) => sum + (each?.resources.entries["streams"] ?? 0), 0);
  }

  /**
   * The milliseconds until each proxy has a connection that leads to the control plane, by the pod's name; `crowd`: the last of the
   * simulated ones. Nothing is asked of the control plane meanwhile, whose answers would cost it more than the proxies do.
   */
  async connected(): Promise<Readonly<Record<string, number>>> {
    const began = performance.now();
    const after: Record<string, number> = {};
    const note = (name: string, isThere: boolean): void => {
      if (isThere) after[name] ??= Math.round(performance.now() - began);
      else Reflect.deleteProperty(after, name);
    };
    const { crowd } = this;
    const { sidecars } = this.stage;
    const look = (): boolean => {
      for (const { name, ads } of sidecars) note(name, ads.open === 1);
      note("crowd", crowd.reduce((sum, { open }) => sum + open, 0) === this.size.crowd);
      return Object.keys(after).length === sidecars.length + 1;
    };
    await waitFor("a connection of every proxy", look, LIMIT_MS);
    return after;
  }

  /** What has ended since the last call; the guest's requests are not judged while `turning`, when its grant is on its way. */
  async tally(turning = false): Promise<Tally> {
    const outcomes = await this.stage.take();
    const judged = this.stage.flows
      .filter(({ rule }) => !(turning && rule === "granted"))
      .flatMap(({ name, rule }) =>
        (outcomes[name] ?? []).map(outcome => ({ ...outcome, isAllowed: rule === "always" })),
      );
    const allowed = judged.filter(({ isAllowed }) => isAllowed);
    const failed = allowed
      .filter(({ status }) => status !== 200)
      .map(({ path: asked, status, what }) => `${asked}: ${status} ${what}`);
    const passed = judged.filter(({ isAllowed, status }) => !isAllowed && status === 200);
    expect(this.findings).to.deep.equal([]);
    return { failed, passed: passed.map(({ path: asked }) => asked), all: judged.length };
  }

  /** Every flow has ended as it should, one request after the other. What was before is forgotten. */
  async steady(): Promise<void> {
    const right = new Set<string>();
    const look = async (): Promise<boolean> => {
      const outcomes = await this.stage.take();
      for (const { name, rule } of this.stage.flows)
        for (const { status } of outcomes[name] ?? [])
          if ((status === 200) === (rule === "always")) right.add(name);
          else right.delete(name);
      return right.size === this.stage.flows.length;
    };
    await waitFor("all flows as they should be", look, LIMIT_MS);
  }

  /** Connections to ADS that the Envoys have begun. */
  async connections(): Promise<number> {
    return this.sum(`cluster.${ADS_SERVICE}.upstream_cx_total`);
  }

  /** Sum of one counter of all Envoys. */
  async sum(stat: string): Promise<number> {
    const each = await Promise.all(this.stage.sidecars.map(({ admin }) => admin.stat(stat)));
    return each.reduce((sum, one) => sum + one, 0);
  }

  /** Changes what the guest may; the milliseconds until its requests show that. What it asked meanwhile is not judged. */
  async turnGrant(): Promise<number> {
    const granted = await this.stage.objects.turnGrant();
    const began = performance.now();
    const shows = async (): Promise<boolean> => {
      const outcomes = await this.stage.take();
      return (outcomes["guest-store"] ?? []).some(({ status }) => (status === 200) === granted);
    };
    await waitFor("the guest's requests as its grant says", shows, LIMIT_MS);
    return Math.round(performance.now() - began);
  }

  async stop(): Promise<void> {
    await this.stage.stop(false);
  }
}
