import type { Command } from "commander";
import type { StatusPage } from "../../runtime/api/pages";
import type { CliContext } from "../context";
import { EXIT } from "../failure";
import { openMeshApi } from "../mesh-api";
import { judge } from "../status/judge";
import { seePods } from "../status/pods";
import { statusText } from "../status/text";

interface StatusOptions {
  readonly namespace?: string;
  readonly problems?: boolean;
  readonly check?: boolean;
}

const HELP = `
Examples:
  osm status                    all proxies, the control plane, roots, and what is wrong
  osm status -n bookstore       proxies of one namespace
  osm status --problems         only proxies with a problem
  osm status --check            ends with 1 when something is wrong, for scripts

Asks the control plane's read-only API: needs the Role of docs/guides/dashboard.md.`;

/** `osm status`. */
export function addStatusCommand(program: Command, context: CliContext): void {
  program
    .command("status")
    .description("show proxies, whether they are up to date, certificates, and what is wrong and why")
    .option("-n, --namespace <namespace>", "only proxies of this namespace")
    .option("--problems", "only proxies with a problem")
    .option("--check", "end with 1 when something is wrong")
    .addHelpText("after", HELP)
    .action(async (options: StatusOptions) => {
      const api = openMeshApi(context);
      try {
        const page = await api.get<StatusPage>("/v1/status");
        const status = judge(page, await seePods(await context.kube(), page));
        const { namespace } = options;
        const proxies = status.proxies.filter(
          ({ pod, problems }) =>
            (namespace === undefined || pod.startsWith(`${namespace}/`)) &&
            (options.problems !== true || problems.length > 0),
        );
        context.out.show({ ...status, proxies }, () => statusText(status, proxies));
        if (options.check === true && status.problems.length > 0) context.exitWith(EXIT.failed);
      } finally {
        api.close();
      }
    });
}
