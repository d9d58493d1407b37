import type { Command } from "commander";
import type { CliContext } from "../context";
import { addAlphaCommands } from "./alpha";
import { addCompletionCommands } from "./completion";
import { addDashboardCommand } from "./dashboard";
import { addEnvCommand } from "./env";
import { addExplainCommand } from "./explain";
import { addInstallCommands } from "./install";
import { addLogsCommand } from "./logs";
import { addMeshCommands } from "./mesh";
import { addMetricsCommands } from "./metrics";
import { addMigrateCommands } from "./migrate";
import { addNamespaceCommands } from "./namespace";
import { addPlanCommand } from "./plan";
import { addPolicyCommands } from "./policy";
import { addProxyCommands } from "./proxy";
import { addStatusCommand } from "./status";
import { addSupportCommands } from "./support";
import { addVerifyCommands } from "./verify";
import { addVersionCommand } from "./version";
import { addWaitCommand } from "./wait";

/** Adds the commands of one family to the root command. */
export type CommandFamily = (program: Command, context: CliContext) => void;

/** Every family, one file each. */
export const COMMANDS: readonly CommandFamily[] = [
  addAlphaCommands,
  addCompletionCommands,
  addDashboardCommand,
  addEnvCommand,
  addExplainCommand,
  addInstallCommands,
  addLogsCommand,
  addMeshCommands,
  addMetricsCommands,
  addMigrateCommands,
  addNamespaceCommands,
  addPlanCommand,
  addPolicyCommands,
  addProxyCommands,
  addStatusCommand,
  addSupportCommands,
  addVerifyCommands,
  addVersionCommand,
  addWaitCommand,
];
