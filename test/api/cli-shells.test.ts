import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { stripVTControlCharacters } from "node:util";
import { expect } from "chai";
import { ensureKube } from "../../hack/cluster/binaries";
import { ensurePackages } from "../../hack/cluster/packages";
import { Progress, toStderr } from "../../hack/cluster/progress";
import { capture, run, type RunResult } from "../../hack/cluster/shell";
import { buildCommand } from "../../hack/osm/build";
import { VERSION } from "../../src/cli/version";
import { cliCluster, type CliCluster } from "../support/cli-cluster";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { waitFor } from "../support/wait";

/** A shell on a terminal of its own, as somebody types on it. */
class Terminal {
  private said = "";
  private readonly child;
  private readonly ended: Promise<unknown>;

  constructor(command: string, env: Readonly<Record<string, string>>) {
    this.child = spawn("script", ["-qefc", command, "/dev/null"], {
      env,
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.child.stdout.setEncoding("utf8").on("data", (text: string) => (this.said += text));
    this.ended = once(this.child, "exit");
  }

  /** Types, and waits until the terminal shows something of this form that it did not show before. */
  async type(keys: string, expected: RegExp): Promise<void> {
    const from = this.said.length;
    this.child.stdin.write(keys);
    const shown = (): boolean => expected.test(stripVTControlCharacters(this.said.slice(from)));
    await waitFor(`${String(expected)} after typing ${JSON.stringify(keys)}`, shown).catch(
      (error: unknown) => {
        throw new Error(`${String(error)}; the terminal shows:\n${JSON.stringify(this.said)}`);
      },
    );
  }

  async close(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.ended;
  }
}

/** How each shell is started without anybody's settings, and told of the completion. */
const SHELLS = {
  bash: ["bash --norc --noprofile -i", "source <(osm completion bash)"],
  zsh: ["zsh -f -i", "autoload -U compinit; compinit -u -D; source <(osm completion zsh)"],
  fish: ["fish --no-config -i", "osm completion fish | source"],
} as const;

describe("the osm command in shells and under kubectl", function () {
  // The first time zsh and fish are installed.
  this.timeout(600_000);
  let server: TestApiServer;
  let cli: CliCluster;
  let folder: string;
  let env: Readonly<Record<string, string>>;
  let kubectl: string;
  before(async () => {
    await ensurePackages(new Progress(toStderr), { zsh: "/usr/bin/zsh", fish: "/usr/bin/fish" });
    folder = mkdtempSync(path.join(os.tmpdir(), "osm-shells-"));
    await buildCommand(folder);
    mkdirSync(path.join(folder, "home"));
    const kube = await ensureKube(new Progress(toStderr));
    kubectl = path.join(kube, "kubectl");
    server = await startApiServerForTest();
    cli = cliCluster(server);
    env = {
      PATH: [folder, path.dirname(process.execPath), process.env["PATH"]].join(":"),
      HOME: path.join(folder, "home"),
      KUBECONFIG: cli.kubeconfig,
      TERM: "dumb",
      PS1: "$ ",
      LC_ALL: "C.UTF-8",
    };
    const names = server.client();
    for (const name of ["orchard", "orange"])
      await names.create("/api/v1/namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name } });
    names.close();
  });
  after(async () => {
    cli.remove();
    await server.stop();
    rmSync(folder, { recursive: true });
  });
  const kubectlSays = (...args: readonly string[]): Promise<RunResult> => run(kubectl, args, { env });

  for (const [shell, [command, prepare]] of Object.entries(SHELLS))
    it(`completes commands, options and names of the cluster in a real ${shell}`, async () => {
      const terminal = new Terminal(command, env);
      try {
        await terminal.type(`${prepare}; echo "is"-ready\n`, /^is-ready/m);
        await terminal.type("osm versi\t", /osm version /);
        await terminal.type("--version-o\t", /--version-only /);
        await terminal.type("\n", new RegExp(`^${VERSION}\\s*$`, "m"));
        await terminal.type("osm ns add orc\t", /add orchard /);
        await terminal.type("\n", /orchard.*mesh/i);
      } finally {
        await terminal.close();
      }
    });

  it("is found and run by kubectl as its plugin, and asked by it for completions", async () => {
    const listed = await kubectlSays("plugin", "list");
    expect(listed.stdout).to.contain(path.join(folder, "kubectl-osm"));
    const done = await kubectlSays("osm", "namespace", "add", "orange");
    expect(done.code, done.stderr).to.equal(0);
    expect((await kubectlSays("osm", "namespace", "list")).stdout).to.match(/^orange +osm +enabled/m);
    const wrong = await kubectlSays("osm", "namespace", "add");
    expect([wrong.code, wrong.stderr.includes("(kubectl osm namespace add --help says more)")]).to.deep.equal(
      [2, true],
    );
    const script = path.join(folder, "kubectl_complete-osm");
    await capture("sh", ["-c", `osm completion kubectl > ${script} && chmod +x ${script}`], { env });
    const words = await kubectlSays("__complete", "osm", "namespace", "remove", "oran");
    expect(words.stdout.split("\n")).to.include("orange").and.include(":4");
  });
});
