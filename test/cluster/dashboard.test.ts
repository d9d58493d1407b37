import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { expect } from "chai";
import { chromium, type Browser, type Locator, type Page } from "playwright-core";
import { ensurePackages } from "../../hack/cluster/packages";
import { Progress } from "../../hack/cluster/progress";
import { applicationManifests, asList, DEMO_LABEL, DEMO_NAME } from "../../hack/demo/manifests";
import { createNamespaces, deleteNamespaces } from "../../hack/demo/namespaces";
import { buildCommand } from "../../hack/osm/build";
import { verdict } from "../support/verdict";
import { FULL, Mesh } from "./support/mesh";

const CHROMIUM = "/usr/bin/chromium";
/** Ten times what a change may take to be seen. */
const SEEN_MS = 30_000;
const LONG_MS = 120_000;

const FAULT = {
  apiVersion: "policy.openservicemesh.io/v1alpha1",
  kind: "UpstreamTrafficSetting",
  metadata: { name: "dashboard-fault", namespace: "bookwarehouse" },
  spec: {
    host: "bookwarehouse.bookwarehouse.svc.cluster.local",
    faults: { abort: { httpStatus: 503, percentage: 100 } },
  },
};

/** A real browser and the whole bookstore: only with OSM_FULL=1. */
if (FULL)
  describe("osm dashboard in Chromium", function () {
    this.timeout(600_000);
    let mesh: Mesh;
    let folder: string;
    let command: ChildProcess;
    let browser: Browser;
    let page: Page;
    let url: string;
    let wasThere: boolean;
    const wrong: string[] = [];
    const edge = (from: string, to: string): Locator => page.locator(`[data-edge="${from}>${to}"]`);
    const buying = (): Locator => edge("bookbuyer/Deployment/bookbuyer", "bookstore/bookstore:14001");
    const stocking = (): Locator =>
      edge("bookstore/Deployment/bookstore-v1", "bookwarehouse/bookwarehouse:14001");
    /** Waits until an edge is told to be in one of these states. */
    const inState = (locator: Locator, state: string, timeout: number): Promise<void> =>
      locator.and(page.locator(`[data-state="${state}"]`)).waitFor({ timeout });

    before(async () => {
      await ensurePackages(new Progress(() => undefined), {
        chromium: CHROMIUM,
        "fonts-dejavu-core": "/usr/share/fonts/truetype/dejavu",
      });
      mesh = await Mesh.open();
      const labelled = ["get", "namespaces", "-l", `${DEMO_LABEL}=${DEMO_NAME}`, "-o", "name"];
      wasThere = (await mesh.kubectl.must(labelled)).trim() !== "";
      if (!wasThere) await createNamespaces(mesh.kubectl);
      await mesh.kubectl.must(["apply", "-f", "-"], asList(applicationManifests()));
      await mesh.kubectl.must(["-n", "bookstore", "scale", "deployment/bookstore-v2", "--replicas=1"]);
      for (const name of ["bookstore-v1", "bookstore-v2"])
        await mesh.kubectl.must(
          ["-n", "bookstore", "rollout", "status", `deployment/${name}`],
          undefined,
          LONG_MS,
        );
      folder = mkdtempSync(path.join(os.tmpdir(), "osm-dashboard-test-"));
      const program = await buildCommand(folder);
      command = spawn(process.execPath, [program, "dashboard", "--no-open-browser"], {
        env: { ...process.env, KUBECONFIG: mesh.cluster.kubeconfig },
        stdio: ["ignore", "pipe", "inherit"],
      });
      if (command.stdout === null) throw new Error("no output");
      [url] = (await once(createInterface(command.stdout), "line")) as [string];
      browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
      page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
      page.setDefaultTimeout(LONG_MS);
      page.on("pageerror", error => wrong.push(error.message));
      page.on("console", message => {
        if (message.type() === "error") wrong.push(message.text());
      });
      await page.goto(url);
    });
    after(async () => {
      await browser.close();
      command.kill("SIGTERM");
      if (command.exitCode === null) await once(command, "exit");
      rmSync(folder, { recursive: true });
      await mesh.kubectl.must(["delete", "--ignore-not-found", "-f", "-"], JSON.stringify(FAULT));
      if (!wasThere) await deleteNamespaces(mesh.kubectl);
    });

    it("shows the bookstore as it runs: calls with their rates, and the split", async () => {
      await inState(buying(), "well", LONG_MS);
      await inState(stocking(), "well", LONG_MS);
      expect(await buying().innerText())
        .to.match(/\d\/s/)
        .and.to.match(/%\ssuccess/);
      const share = page.locator('[data-edge="bookstore/bookstore=bookstore/Deployment/bookstore-v1"]');
      expect(await share.innerText()).to.match(/90\s%/);
      const drawn = await page.locator(".canvas canvas").count();
      expect(drawn, "the picture").to.be.greaterThan(0);
    });

    it("turns an edge red soon after a fault is put in, and back after it is gone", async () => {
      const began = Date.now();
      await mesh.kubectl.must(["apply", "-f", "-"], JSON.stringify(FAULT));
      await inState(stocking(), "failing", SEEN_MS);
      const tookMs = Date.now() - began;
      const bound = SEEN_MS / 10;
      verdict("dashboard: an edge is red after a fault was asked for", tookMs <= bound, {
        longestMs: tookMs,
        bound,
      });
      await mesh.kubectl.must(["delete", "-f", "-"], JSON.stringify(FAULT));
      await inState(stocking(), "well", LONG_MS);
    });

    it("explains a call on Enter and on click", async () => {
      await buying().focus();
      await page.keyboard.press("Enter");
      await page.locator(".verdict").waitFor();
      expect(await page.locator("aside h2").innerText()).to.equal("bookbuyer → bookstore:14001");
      await page.keyboard.press("Escape");
      await stocking().click();
      await page.locator(".verdict").waitFor();
      expect(await page.locator("aside h2").innerText()).to.equal("bookstore-v1 → bookwarehouse:14001");
      await page.getByRole("button", { name: "All calls" }).click();
    });

    it("lists every proxy, policy and root", async () => {
      const opened = async (name: string): Promise<string> => {
        await page.getByRole("button", { name }).click();
        await page.locator("main table").first().waitFor();
        return page.locator("main").innerText();
      };
      expect(await opened("Proxies"))
        .to.contain("Deployment/bookbuyer")
        .and.to.contain("current");
      expect(await opened("Policies")).to.contain("bookstore/bookstore-split");
      expect(await opened("Certificates")).to.contain("issues certificates");
    });

    it("lets in nobody without the secret, loads nothing from elsewhere, and complains of nothing", async () => {
      expect((await fetch(new URL("/", url))).status).to.equal(403);
      expect((await fetch(new URL("/api/status", url))).status).to.equal(403);
      expect((await fetch(url, { method: "POST" })).status).to.equal(405);
      expect(wrong).to.deep.equal([]);
    });
  });
