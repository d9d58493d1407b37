import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect } from "chai";
import { ensureKube } from "../../hack/cluster/binaries";
import { Progress, toStderr, until } from "../../hack/cluster/progress";
import { cacheFolder, repositoryRoot } from "../../hack/cluster/settings";
import { capture } from "../../hack/cluster/shell";
import { readPage, type Block } from "../support/guide-page";
import { verdict } from "../support/verdict";
import { FULL, report } from "./support/mesh";
import { ReaderShell, type Typed } from "./support/reader-shell";

const GUIDE = "docs/guides/quick-start.md";
/** Of its own, so that it is fresh and nobody else's. */
const CLUSTER = "osm-quick-start";
/** From no cluster to the rule that refuses bookthief. */
const BOUND_MS = 600_000;
/** What `osm explain` ends with when it says no. */
const REFUSED = 3;

/** Lines of a block as they are typed one after the other. */
const linesOf = ({ text }: Block): readonly string[] =>
  text
    .replaceAll(/\\\n\s*/g, " ")
    .split("\n")
    .filter(line => line.trim() !== "");

const isExplain = (line: string): boolean => line.startsWith("osm explain");

/** A shell's lines, or what is saved or shown, in the order of the page. */
const blocks = readPage(GUIDE).blocks;

if (FULL)
  describe("docs/guides/quick-start.md, walked by somebody who has nothing yet", function () {
    this.timeout(3_600_000);
    let folder: string;
    let shell: ReaderShell;
    const typed: Typed[] = [];
    let began = 0;

    before(async () => {
      folder = mkdtempSync(path.join(os.tmpdir(), "osm-qs-"));
      const clone = path.join(folder, "clone");
      const home = path.join(folder, "home");
      mkdirSync(path.join(home, ".cache/osm-pepr"), { recursive: true });
      await capture("git", ["clone", "-q", repositoryRoot(), clone]);
      const kube = await ensureKube(new Progress(toStderr));
      const given = Object.entries(process.env).filter(
        ([name, value]) => value !== undefined && !/^(OSM_|npm_|KUBECONFIG$|NODE_OPTIONS$|MOCHA)/.test(name),
      ) as [string, string][];
      shell = new ReaderShell(clone, {
        ...Object.fromEntries(given),
        HOME: home,
        PATH: `${process.env["PATH"] ?? ""}:${kube}`,
        OSM_CLUSTER_NAME: CLUSTER,
        OSM_STATE: path.join(home, ".cache/osm-pepr/cluster"),
        // What takes long to build once, and the settings of npm, are this machine's.
        OSM_CACHE: cacheFolder(),
        GOPATH: process.env["GOPATH"] ?? path.join(os.homedir(), "go"),
        npm_config_cache: process.env["npm_config_cache"] ?? path.join(os.homedir(), ".npm"),
        npm_config_userconfig: process.env["npm_config_userconfig"] ?? path.join(os.homedir(), ".npmrc"),
      });
      began = Date.now();
    });
    after(async () => {
      // Whatever has become of the page's own last line.
      await shell.type("npm run -s cluster:down");
      await shell.close();
      rmSync(folder, { recursive: true, force: true });
    });

    async function type(line: string): Promise<Typed> {
      const done = await shell.type(line);
      typed.push(done);
      report(`${String(done.ms).padStart(7)} ms  ${line}`);
      return done;
    }

    /** Types a block and gives what its last line showed; every line must end well, an explanation may say no. */
    async function walk(block: Block, next: Block | undefined): Promise<void> {
      for (const line of linesOf(block)) {
        const { code, shown } = await type(line);
        expect(code, `${line}\n${shown.slice(-4_000)}`).to.be.oneOf(isExplain(line) ? [0, REFUSED] : [0]);
        if (!isExplain(line)) continue;
        expect(next?.language, "what the page prints below").to.equal("text");
        expect(shown.trimEnd()).to.equal(next?.text);
      }
    }

    const isLast = (block: Block): boolean => block.text.includes("cluster:down");

    it("does what it says, line by line, to the rule that refuses bookthief", async () => {
      for (const [n, block] of blocks.entries()) {
        if (block.language === "yaml") {
          const [, name] = /^# (\S+\.yaml)\n/.exec(block.text) ?? [];
          expect(name, `line ${block.line}: the name of the file`).to.be.a("string");
          writeFileSync(path.join(folder, "clone", name ?? ""), `${block.text}\n`);
        }
        if (block.language === "sh" && !isLast(block)) await walk(block, blocks[n + 1]);
      }
      const took = Date.now() - began;
      verdict("quick start: from no cluster to the rule that refuses bookthief", took <= BOUND_MS, {
        count: typed.length,
        failed: 0,
        longestMs: took,
        bound: `${BOUND_MS} ms with programs and images built before`,
      });
      expect(took).to.be.below(10 * BOUND_MS);
    });

    it("and the cluster agrees: asked without files, by refused requests, and by what the page's other lines print", async () => {
      const status = typed.find(({ line }) => line === "osm status");
      expect(status?.shown)
        .to.match(/proxies/i)
        .and.to.contain("bookstore/bookstore-v1");
      const meshes = typed.find(({ line }) => line === "osm mesh list");
      expect(meshes?.shown).to.match(/^osm +osm-system /m);
      const [last = ""] = typed
        .map(({ line }) => line)
        .filter(isExplain)
        .slice(-1);
      const live = await until("a pod of bookthief", 120_000, async () => {
        const done = await shell.type(last.replaceAll(/ -f \S+/g, ""));
        return done.code === REFUSED ? done : undefined;
      });
      expect(live.shown).to.match(
        /^NO: forbidden: HTTP 403 .*, by TrafficTarget bookstore\/buyers, spec\.sources$/m,
      );
      expect(live.shown).to.not.contain("Assumed:");
      await until("bookthief among the refusals that sidecars tell of", 120_000, async () => {
        const { shown } = await shell.type("osm logs --denied -n bookstore");
        return shown.includes("/ns/bookthief/sa/bookthief ") ? true : undefined;
      });
    });

    it("leaves nothing when its last lines are typed", async () => {
      for (const block of blocks.filter(isLast)) await walk(block, undefined);
      const { code } = await shell.type(`ip netns list | grep -w ${CLUSTER}`);
      expect(code, "its network namespace is gone").to.equal(1);
    });
  });
