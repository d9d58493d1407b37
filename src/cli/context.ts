import type { Command } from "commander";
import { DEFAULT_MESH_NAME } from "../model/mesh-words";
import { createKubeClient, type ClosableKubeClient } from "../runtime/kube/client";
import type { KubeCredentials } from "../runtime/kube/credentials";
import type { KubeClient } from "../runtime/kube";
import type { Clock } from "../runtime/ports";
import type { CliConfig } from "./config-file";
import { CommandError, UsageError, type ExitCode } from "./failure";
import type { Host } from "./host";
import { chosenCredentials, contextNamespace, type ClusterChoice } from "./kubeconfig";
import { telling } from "./told-requests";
import { FORMATS, outputOf, type Format, type Output } from "./output";

/** Options that every command takes. */
export interface GlobalOptions {
  readonly osmNamespace?: string;
  readonly meshName?: string;
  readonly context?: string;
  readonly kubeconfig?: string;
  readonly output?: string;
  readonly verbose?: boolean;
}

/** What a command works with. Read its members in the action, not before: they follow from the options given. */
export interface CliContext {
  /** The cluster's API, with the rights of the user. Rejects with {@link CommandError} when there is no kubeconfig. */
  kube(): Promise<KubeClient>;
  /** What {@link CliContext.kube} presents, for streams (exec, port-forward). */
  credentials(): KubeCredentials;
  /** Namespace of MeshConfig: `--osm-namespace`, `OSM_NAMESPACE`, the configuration file, else osm-system. */
  readonly osmNamespace: string;
  /** `--mesh-name`, else osm. */
  readonly meshName: string;
  /** The same where it was given; undefined: whatever mesh. */
  readonly givenMeshName: string | undefined;
  /** Namespace where a command names none: that of the kubeconfig's context, else default. */
  readonly namespace: string;
  readonly config: CliConfig;
  /** Where results go. */
  readonly out: Output;
  /** What `-o` holds, undefined where it was not given. */
  readonly givenOutput: string | undefined;
  readonly verbose: boolean;
  /** Writes to standard output as it is, whatever `-o` says. */
  write(text: string): void;
  /** Progress in one line: to standard output beside a table, else to standard error. */
  say(line: string): void;
  /** A warning in one line, to standard error. */
  warn(line: string): void;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  now(): number;
  readonly env: Host["env"];
  /** Asks; true for y or yes. Throws {@link CommandError} that names `flag` when there is nobody to ask. */
  confirm(question: string, flag: string): Promise<boolean>;
  /** All of standard input (`-f -`). */
  readStdin(): Promise<string>;
  /** Waits; for looking again. */
  pause(ms: number): Promise<void>;
  /** What the process ends with although nothing was thrown. */
  exitWith(code: ExitCode): void;
}

/** A context, and what is done with it after the command. */
export interface RunContext extends CliContext {
  readonly exitCode: ExitCode | undefined;
  close(): void;
}

/** `-o` of a command that prints results. Throws {@link UsageError} for none of the forms. */
export function formatOf(given: string | undefined): Format {
  const format = FORMATS.find(one => one === (given ?? "table"));
  if (format === undefined)
    throw new UsageError(`--output: ${JSON.stringify(given)} is none of ${FORMATS.join(", ")}`);
  return format;
}

class Context implements RunContext {
  private client: ClosableKubeClient | undefined;
  private known: KubeCredentials | undefined;
  exitCode: ExitCode | undefined;

  constructor(
    private readonly root: Command,
    private readonly host: Host,
    readonly config: CliConfig,
  ) {}

  private get options(): GlobalOptions {
    return this.root.opts<GlobalOptions>();
  }
  private get choice(): ClusterChoice {
    return { ...this.options, env: this.env, now: () => this.now() };
  }
  credentials(): KubeCredentials {
    return (this.known ??= chosenCredentials(this.choice));
  }
  kube(): Promise<KubeClient> {
    return Promise.resolve().then(() => {
      const client = (this.client ??= createKubeClient(this.credentials(), { userAgent: "osm" }));
      return this.verbose ? telling(client, this.clock, this.host.complain) : client;
    });
  }
  get osmNamespace(): string {
    const fromEnv = this.env["OSM_NAMESPACE"] ?? "";
    return this.options.osmNamespace ?? (fromEnv === "" ? this.config.namespace : fromEnv);
  }
  get meshName(): string {
    return this.options.meshName ?? DEFAULT_MESH_NAME;
  }
  get givenMeshName(): string | undefined {
    return this.options.meshName;
  }
  get namespace(): string {
    return contextNamespace(this.choice);
  }
  get out(): Output {
    return outputOf(formatOf(this.options.output), this.host.write);
  }
  get givenOutput(): string | undefined {
    return this.options.output;
  }
  get verbose(): boolean {
    return this.options.verbose === true;
  }
  get clock(): Clock {
    return this.host.clock;
  }
  now(): number {
    return this.clock.now();
  }
  get env(): Host["env"] {
    return this.host.env;
  }
  write(text: string): void {
    this.host.write(text);
  }
  say(line: string): void {
    const { output } = this.options;
    const write = output === "json" || output === "yaml" ? this.host.complain : this.host.write;
    write(`${line}\n`);
  }
  warn(line: string): void {
    this.host.complain(`Warning: ${line}\n`);
  }
  async confirm(question: string, flag: string): Promise<boolean> {
    const answer = await this.host.ask(`${question} [y/N] `);
    if (answer !== undefined) return /^\s*y(es)?\s*$/i.test(answer);
    throw new CommandError(`${question} Nobody is there to answer; ${flag} does it unasked`);
  }
  readStdin(): Promise<string> {
    return this.host.readAll();
  }
  pause(ms: number): Promise<void> {
    return new Promise(resolve => void setTimeout(resolve, ms));
  }
  exitWith(code: ExitCode): void {
    this.exitCode = code;
  }
  close(): void {
    this.client?.close();
  }
}

/** The context of one run; options are read from the root command when they are asked for. */
export function createContext(root: Command, host: Host, config: CliConfig): RunContext {
  return new Context(root, host, config);
}
