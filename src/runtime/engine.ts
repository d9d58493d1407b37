import type { MeshConfigSpec } from "../api/mesh-config";
import type { Inputs, InputSettings } from "../catalog/inputs";
import type { Watch } from "../graph/graph";
import type { Diagnostic } from "../model/diagnostic";
import type { TrustDomain } from "../model/identity";
import type { MeshNamespace } from "../model/workload";
import type { Call, Decision } from "../policy/decide";
import type { Leaf } from "../policy/types";
import type { EncodedResource } from "../xds/resource";
import { tellContained } from "./contained";
import { rememberingBytes } from "./engine/carried-bytes";
import type { Compiler, DiagnosticMap, PolicyDescription } from "./engine/compiler";
import { createCompiler } from "./engine/compiler";
import type { EngineEvent } from "./engine/events";
import { explain } from "./engine/explain";
import { createFindings } from "./engine/findings";
import { type Candidate, foresee } from "./engine/foresight";
import { createFlushTimer, type FlushTimer } from "./engine/flush-timer";
import { lingeringSubscribers } from "./engine/lingering";
import { createInventory, type Inventory } from "./engine/inventory";
import { createListeners } from "./engine/listeners";
import { createNews } from "./engine/news";
import { observe } from "./engine/observed";
import { createPodRegister, type PodRegister } from "./engine/pods";
import { createReports, type EngineReports } from "./engine/reports";
import { Patience } from "./engine/patience";
import type { Preparation, ShaperKeys } from "./engine/shapers";
import type { Subscribers } from "./engine/subscribers";
import { warm } from "./engine/warm";
import type { Clock, ConfigSource, Log, PodDirectory, Subscription } from "./ports";

export type { DiagnosticMap, PolicyDescription } from "./engine/compiler";
export { LINGER_MS } from "./engine/lingering";
export { PATIENCE_MS } from "./engine/patience";
export type { EngineEvent, EngineEventOf } from "./engine/events";

/** What an engine is made of. */
export interface EngineOptions extends InputSettings {
  readonly log: Log;
  readonly clock: Clock;
  readonly encode: (leaf: Leaf) => EncodedResource;
  /**
   * How long a subscribed proxy answers at a port that no Service leads to any more, milliseconds; default 0, so that what
   * is delivered is a function of the events as they stand. In force: {@link LINGER_MS}, and then open connections of bytes
   * are kept too where a port becomes HTTP.
   */
  readonly lingerMs?: number;
  /** How long what a proxy was given is kept when it has gone, milliseconds; default 0. In force: `KEEP_MS`. */
  readonly holdMs?: number;
  /** Longest time that a new Service waits for its first EndpointSlice, milliseconds; default 0. In force: {@link PATIENCE_MS}. */
  readonly patienceMs?: number;
  /** Runs something at the end of this turn of the event loop; default setImmediate. */
  readonly soon?: (run: () => void) => void;
}

/** Counters of an engine. */
export interface EngineStats {
  readonly encodes: number;
  readonly flushes: number;
  /** Milliseconds of the last flush. */
  readonly lastFlushMs: number;
  readonly subscribers: number;
  readonly computedCells: number;
  /** Computations since the start. */
  readonly computations: number;
}

/**
 * The compiler's shell: events in, snapshots out. `apply` only sets inputs; everything that depends on them is computed
 * in one flush at the end of the turn, for those who subscribe.
 */
export interface Engine extends ConfigSource, PodDirectory, EngineReports {
  apply(event: EngineEvent): void;
  /** Runs the outstanding flush now. */
  flush(): void;
  /** The mesh configuration with defaults filled in, as of the last event. */
  meshConfig(): MeshConfigSpec;
  /** Called in the flush after the mesh configuration changed. */
  onMeshConfig(listener: (spec: MeshConfigSpec) => void): Subscription;
  /**
   * In which trust domains workloads are known from now on, and by whose names callers are (default: the same); what
   * follows is delivered when this returns.
   */
  setTrustDomain(trustDomain: TrustDomain, callerDomain?: TrustDomain): void;
  /** The trust domain in force. */
  trustDomain(): TrustDomain;
  /** All namespaces seen, by name. */
  namespaces(): ReadonlyMap<string, MeshNamespace>;
  /** Findings about all objects, as of the last look when somebody follows them, else as of now. */
  diagnostics(): DiagnosticMap;
  /** What would be found about a policy object in the world as of the last event, were it stored. */
  foresee(candidate: Candidate): readonly Diagnostic[];
  /** Called soon after with the objects whose findings changed; an empty list means none are left. */
  onDiagnostics(listener: (changed: DiagnosticMap) => void): Subscription;
  /** What the proxy of a pod must do; undefined when there is no such pod with a sidecar in the mesh. */
  describe(podUid: string): PolicyDescription | undefined;
  /**
   * Follows which custom objects the configuration of a pod comes from, as of the last event; none where `describe` says undefined.
   * What is followed stays compiled, so that many pods and later questions cost what differs: to be closed. `onStale` is called
   * once when the answer may have changed, and again only after it was read.
   */
  followShapers(podUid: string, onStale: () => void): Watch<ShaperKeys>;
  /** Compiles what following these pods will read, in small steps; to be closed when they are followed. */
  prepareShapers(podUids: readonly string[]): Preparation;
  /** What happens to a call of a pod's application, and which objects decide; undefined as for `describe`. */
  explain(podUid: string, call: Omit<Call, "from">): Decision | undefined;
  /** What there is, to be shown. */
  readonly inventory: Inventory;
  /** While snapshots are delivered: the kinds whose events led to this flush, with when the first came, epoch milliseconds. */
  news(): ReadonlyMap<string, number>;
  stats(): EngineStats;
  /**
   * Computes, a little in each turn of the event loop, what the proxies that should be connected will be given, so that a
   * fleet that comes to a new replica finds it made; resolves when that is done, or `withinMs` have passed.
   */
  warm(withinMs: number): Promise<void>;
  /** Lets go of what is kept for proxies that have gone. */
  stop(): void;
}

/** Counts encodings; a leaf that cannot be encoded is our fault, costs its own resource and is logged. */
function guardedEncoder(options: EngineOptions, counters: { encodes: number }, log: Log) {
  return (leaf: Leaf): EncodedResource | undefined => {
    counters.encodes++;
    try {
      return options.encode(leaf);
    } catch (error) {
      const fields = { resource: leaf.name, error: String(error) };
      tellContained(log, "resource left out, it could not be encoded", fields);
      return undefined;
    }
  };
}

function trustDomainOf(
  { graph, trustDomain, callerDomain }: Inputs,
  timer: FlushTimer,
): Pick<Engine, "setTrustDomain" | "trustDomain"> {
  return {
    setTrustDomain: (next, callers = next) => {
      trustDomain.set(next);
      callerDomain.set(callers);
      // Only what has been asked for is flushed.
      timer.request();
      timer.flushNow();
    },
    trustDomain: () => graph.peek(trustDomain),
  };
}

function departures(pods: PodRegister): Pick<Engine, "byUid" | "onGone"> {
  return {
    byUid: uid => pods.byUid(uid),
    onGone: listener => {
      pods.onGone(listener);
    },
  };
}

interface Timed {
  readonly clock: Clock;
  readonly subscribers: Subscribers;
  readonly patience: Patience;
}

function ahead(
  { clock, subscribers, patience }: Timed,
  pods: PodRegister["expected"],
): Pick<Engine, "warm" | "stop"> {
  return {
    warm: withinMs => warm({ clock, subscribers, pods }, withinMs),
    stop: () => {
      patience.stop();
      subscribers.stop();
    },
  };
}

/** What would happen is told of the world as of the last event, what is there as it was compiled. */
function questions(
  compiler: Compiler,
  patience: Patience,
): Pick<Engine, "foresee" | "explain" | "describe" | "followShapers" | "prepareShapers" | "inventory"> {
  return {
    describe: podUid => compiler.inputs.graph.peek(compiler.description(podUid)),
    followShapers: (podUid, onStale) => compiler.inputs.graph.watch(compiler.shapers.ofPod(podUid), onStale),
    prepareShapers: podUids => compiler.shapers.prepare(podUids),
    inventory: createInventory(compiler),
    foresee: candidate => {
      patience.hurry();
      return foresee(compiler, candidate);
    },
    explain: (podUid, call) => {
      patience.hurry();
      return explain(compiler, podUid, call);
    },
  };
}

/** Makes an engine without any input. It computes nothing until somebody subscribes. */
export function createEngine(options: EngineOptions): Engine {
  const log = options.log.child("engine");
  const counters = { encodes: 0, flushes: 0, lastFlushMs: 0 };
  const compiler = createCompiler(options, guardedEncoder(options, counters, log), log);
  const { inputs } = compiler;
  const { graph, meshConfig } = inputs;
  const pods = createPodRegister(name => inputs.namespaces.rows.get(name)?.meshed === true, log);
  const findings = createFindings(graph, compiler.findings, { clock: options.clock, log });
  const news = createNews(options.clock);
  const write = news.noting(rememberingBytes(compiler, options));
  const config = observe(graph, meshConfig, { initial: graph.peek(meshConfig), log });
  const configListeners = createListeners<MeshConfigSpec>(log, "mesh configuration");
  const reports = createReports(log, pods);

  const flush = news.during(() => {
    const start = options.clock.now();
    graph.batch(() => {
      config.look((_before, spec) => {
        configListeners.notify(spec);
      });
      subscribers.deliver();
    });
    reports.settle();
    findings.soon();
    counters.flushes++;
    counters.lastFlushMs = options.clock.now() - start;
  });
  const timer = createFlushTimer({ clock: options.clock, soon: options.soon ?? setImmediate, flush, log });
  const subscribers = lingeringSubscribers(compiler, { ...options, log, changed: timer.request });
  const apply = (event: EngineEvent): void => {
    write(event);
    reports.note(event);
    if (event.kind === "Pod" || event.kind === "ExternalWorkload") pods.apply(event);
    if (event.kind === "Namespace") pods.lookAtNamespaces();
    timer.request();
  };
  const patience = new Patience(apply, { ...options, log, inputs });
  return {
    ...reports,
    apply: event => {
      patience.apply(event);
    },
    flush: () => {
      patience.hurry();
      timer.flushNow();
      findings.now();
    },
    subscribe: (proxy, onSnapshot) => subscribers.subscribe(proxy, onSnapshot),
    ...departures(pods),
    meshConfig: () => graph.peek(meshConfig),
    ...trustDomainOf(inputs, timer),
    onMeshConfig: listener => configListeners.add(listener),
    namespaces: () => inputs.namespaces.rows,
    diagnostics: () => findings.current(),
    onDiagnostics: listener => findings.onChange(listener),
    ...questions(compiler, patience),
    news: news.present,
    stats: () => ({ ...counters, subscribers: subscribers.count, ...graph.stats() }),
    ...ahead({ clock: options.clock, subscribers, patience }, pods.expected),
  };
}
