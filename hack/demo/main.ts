import { clusterRuns, endCluster, ensureCluster, ensureImages } from "../cluster/index";
import { kubectlPath } from "../cluster/binaries";
import { Progress } from "../cluster/progress";
import type { ClusterSettings } from "../cluster/settings";
import { selectTarget } from "../cluster/target";
import { pushImages } from "../images/push";
import { ALL_ROLES } from "../images/recipes";
import { deploy, deployCommand, readSwitches, useOwnImages } from "./control-plane";
import { CounterReader } from "./counters";
import { afterFailure, cleanUp, lookFurther } from "./guidance";
import { Kubectl } from "./kubectl";
import { applicationManifests, asList, namespaceManifests } from "./manifests";
import { assertOwnNamespaces, createNamespaces, deleteNamespaces } from "./namespaces";
import { parseOptions, USAGE, type DemoOptions } from "./options";
import { hasSidecar, type DemoPod } from "./pods";
import { Screen } from "./screen";
import * as story from "./story";
import { policyDecides } from "./story-policy";
import { Watch } from "./watch";

/** The cluster the demo runs on. */
interface Ground {
  readonly kubectl: Kubectl;
  readonly embedded: ClusterSettings | undefined;
}

/** Ends the demo early, from the keyboard. */
class Interrupted extends Error {}

/** Milliseconds that an interrupted step is given to undo what it did. */
const UNDO_MS = 15_000;

function pause(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}

class Demo {
  private readonly screen = new Screen({
    out: process.stdout,
    isTerminal: process.stdout.isTTY,
    now: () => Date.now(),
  });
  private readonly shown: string[] = [];
  private ground: Ground | undefined;
  private watch: Watch | undefined;
  private madeNamespaces = false;
  private clusterRanBefore = false;

  public constructor(private readonly options: DemoOptions) {}

  /** Runs the story; gives the exit code. */
  public async run(interrupted: Promise<never>): Promise<number> {
    const telling = this.tell();
    try {
      await Promise.race([telling, interrupted]);
    } catch (error) {
      if (!(error instanceof Interrupted)) return await this.giveUp(error);
      this.say("interrupted");
      this.watch?.cancel(error);
      // The step that was cut short undoes what it had switched; one that hangs does not hold the user up.
      await Promise.race([telling.catch(() => undefined), pause(UNDO_MS)]);
      return this.finish(130);
    }
    return this.finish(0);
  }

  private say = (line: string): void => {
    this.screen.say(line);
  };

  /** Takes lines of a part that keeps a clock of its own, and shows them on the demo's. */
  private relay = (line: string): void => {
    this.screen.say(line.replace(/^\[ *[\d.]+ s\] /, ""));
  };

  private async step<T>(title: string, work: (note: (line: string) => void) => Promise<T>): Promise<T> {
    this.screen.title(title);
    return new Progress(this.relay).step(title, work);
  }

  private async tell(): Promise<void> {
    const ground = await this.prepareGround();
    this.ground = ground;
    const { kubectl } = ground;
    await assertOwnNamespaces(kubectl);
    await this.step(`npx ${deployCommand().join(" ")}`, note => deploy(kubectl, note));
    if (ground.embedded === undefined) await useOwnImages(kubectl);
    const switches = await readSwitches(kubectl);
    this.say(
      `the mesh is there: egress ${String(switches.enableEgress)}, permissive ${String(switches.enablePermissiveTrafficPolicyMode)}`,
    );
    if (!switches.enableEgress || !switches.enablePermissiveTrafficPolicyMode) {
      throw new Error(
        "the story needs MeshConfig traffic.enableEgress and enablePermissiveTrafficPolicyMode true",
      );
    }
    this.madeNamespaces = true;
    await this.step("Namespaces, marked for injection", () => createNamespaces(kubectl));
    const pods = await this.step("The applications", note => story.startApplications(kubectl, note));
    for (const pod of pods) this.say(describe(pod));
    const reader = await CounterReader.start(kubectl);
    const watch = new Watch(reader, this.screen);
    this.watch = watch;
    try {
      await watch.start();
      await this.play(
        { kubectl, screen: this.screen, watch, embedded: ground.embedded, shown: this.shown },
        pods,
      );
    } finally {
      watch.stop();
      reader.stop();
    }
  }

  private async play(stage: story.Stage, pods: readonly DemoPod[]): Promise<void> {
    await story.everybodyIsServed(stage);
    await story.outsiderIsRefused(stage);
    await story.wireIsEncrypted(stage, pods);
    await policyDecides(stage);
    await story.egressIsSwitched(stage);
    await story.nonsenseIsRefused(stage);
    this.screen.title(`The counters, for ${this.options.duration} s more (--duration)`);
    await stage.watch.rest(this.options.duration * 1000);
    this.shown.push(story.closingNumbers(stage));
  }

  private async prepareGround(): Promise<Ground> {
    this.screen.title("The cluster");
    const log = this.relay;
    const target = await selectTarget({ yes: this.options.yes, log });
    if (target.kind === "own") {
      if (process.env["OSM_REGISTRY"] === undefined)
        this.say("OSM_REGISTRY is not set: published images are expected");
      else await pushImages(ALL_ROLES, new Progress(log));
      return {
        kubectl: new Kubectl(await kubectlPath(new Progress(log)), target.kubeconfig, target.context),
        embedded: undefined,
      };
    }
    this.clusterRanBefore = clusterRuns();
    const cluster = await ensureCluster(log);
    this.ground = { kubectl: new Kubectl(cluster.kubectl, cluster.kubeconfig), embedded: cluster.settings };
    this.screen.title("Images");
    await ensureImages(log);
    return this.ground;
  }

  private async finish(code: number): Promise<number> {
    const { kubectl, embedded } = this.ground ?? { kubectl: undefined, embedded: undefined };
    this.screen.title(`What was shown, in ${this.screen.elapsed()}`);
    for (const fact of this.shown) this.screen.line(`  · ${fact}`);
    if (kubectl === undefined) return code;
    if (this.options.keep) {
      for (const line of lookFurther(kubectl)) this.screen.line(`  ${line}`);
      for (const line of cleanUp(kubectl, embedded !== undefined)) this.screen.line(`  ${line}`);
      return code;
    }
    if (this.madeNamespaces)
      await this.step("Removing the demo's namespaces", () => deleteNamespaces(kubectl));
    await this.leaveGround(kubectl, embedded);
    return code;
  }

  private async leaveGround(kubectl: Kubectl, embedded: ClusterSettings | undefined): Promise<void> {
    if (embedded === undefined) {
      this.screen.line(
        "  The mesh itself stays; README, “Removing the mesh”, says how it is removed from your cluster.",
      );
    } else if (this.options.down || !this.clusterRanBefore) {
      await endCluster(this.relay);
      this.screen.line("  npm run demo -- --keep leaves the cluster and the bookstore to play with.");
    } else {
      this.screen.line("  The embedded cluster ran before and stays, with the mesh.");
      this.screen.line(
        "  npm run cluster:down ends it; npm run demo -- --keep leaves the bookstore to play with.",
      );
      this.screen.line(`  export KUBECONFIG=${kubectl.kubeconfig ?? ""}`);
    }
  }

  private async giveUp(error: unknown): Promise<number> {
    this.say(`FAILED: ${error instanceof Error ? error.message : String(error)}`);
    if (this.ground === undefined) return 1;
    const { kubectl, embedded } = this.ground;
    for (const line of await afterFailure(kubectl)) this.screen.line(`  ${line}`);
    for (const line of cleanUp(kubectl, embedded !== undefined)) this.screen.line(`  ${line}`);
    return 1;
  }
}

function describe(pod: DemoPod): string {
  const place = `${pod.metadata.namespace}/${pod.metadata.name}`;
  return `${place}: ${hasSidecar(pod) ? "with sidecar" : "outside the mesh, no sidecar"}`;
}

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (options.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  if (options.print) {
    process.stdout.write(`${asList([...namespaceManifests(), ...applicationManifests()])}\n`);
    return 0;
  }
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ["SIGINT", "SIGTERM"])
      process.once(signal, () => {
        reject(new Interrupted());
      });
  });
  return new Demo(options).run(interrupted);
}

main(process.argv.slice(2)).then(
  code => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  },
);
