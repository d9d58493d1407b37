import type { Command } from "commander";
import type { CliContext } from "../context";
import { addCompletionCommands } from "./completion";
import { addEnvCommand } from "./env";
import { addExplainCommand } from "./explain";
import { addInstallCommands } from "./install";
import { addMeshCommands } from "./mesh";
import { addMetricsCommands } from "./metrics";
import { addMigrateCommands } from "./migrate";
import { addNamespaceCommands } from "./namespace";
import { addPlanCommand } from "./plan";
import { addPolicyCommands } from "./policy";
import { addProxyCommands } from "./proxy";
import { addStatusCommand } from "./status";
import { addVersionCommand } from "./version";
import { addWaitCommand } from "./wait";

/** Adds the commands of one family to the root command. */
export type CommandFamily = (program: Command, context: CliContext) => void;

/** Every family, one file each. */
export const COMMANDS: readonly CommandFamily[] = [
  addCompletionCommands,
  addEnvCommand,
  addExplainCommand,
  addInstallCommands,
  addMeshCommands,
  addMetricsCommands,
  addMigrateCommands,
  addNamespaceCommands,
  addPlanCommand,
  addPolicyCommands,
  addProxyCommands,
  addStatusCommand,
  addVersionCommand,
  addWaitCommand,
];
