import { expect } from "chai";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { inClusterCredentials, kubeconfigCredentials } from "../../../src/runtime/kube/credentials";

describe("credentials in a pod", () => {
  let dir: string;
  let now = 0;
  before(() => {
    dir = mkdtempSync(path.join(os.tmpdir(), "osm-token-"));
  });
  after(() => {
    rmSync(dir, { recursive: true });
  });
  const env = { KUBERNETES_SERVICE_HOST: "10.0.0.1", KUBERNETES_SERVICE_PORT: "443" };
  const put = (token: string): void => {
    writeFileSync(path.join(dir, "token"), `${token}\n`);
    writeFileSync(path.join(dir, "ca.crt"), "CA");
  };

  it("do not exist outside of a cluster", () => {
    expect(inClusterCredentials({ env: {}, now: () => 0 })).to.equal(undefined);
  });

  it("follow a renewed token after a minute, or at once when asked", () => {
    put("one");
    const credentials = inClusterCredentials({ env, now: () => now, dir });
    expect(credentials?.server).to.equal("https://10.0.0.1:443");
    expect(credentials?.current()).to.deep.equal({ token: "one", ca: "CA" });
    put("two");
    now = 59_000;
    expect(credentials?.current().token).to.equal("one");
    expect(credentials?.current(true).token).to.equal("two");
    put("three");
    now += 60_001;
    expect(credentials?.current().token).to.equal("three");
    put("four");
    now = 0;
    expect(credentials?.current().token, "a clock that jumped back").to.equal("four");
  });

  it("put an IPv6 address of the API server in brackets", () => {
    const v6 = { ...env, KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: undefined };
    expect(inClusterCredentials({ env: v6, now: () => 0 })?.server).to.equal("https://[fd00::1]:443");
  });
});

describe("credentials of a kubeconfig", () => {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const config = (user: Record<string, unknown>): unknown => ({
    "current-context": "here",
    contexts: [{ name: "here", context: { cluster: "c", user: "u" } }],
    clusters: [
      { name: "c", cluster: { server: "https://h:6443", "certificate-authority-data": base64("CA") } },
    ],
    users: [{ name: "u", user }],
  });

  it("are a client certificate or a token", () => {
    const pair = { "client-certificate-data": base64("CRT"), "client-key-data": base64("KEY") };
    expect(kubeconfigCredentials(config(pair)).current()).to.deep.equal({
      ca: "CA",
      cert: "CRT",
      key: "KEY",
    });
    expect(kubeconfigCredentials(config({ token: "t" }), "here").current()).to.deep.equal({
      ca: "CA",
      token: "t",
    });
  });

  const faults: readonly (readonly [string, unknown, string | undefined, string])[] = [
    ["an unknown context", config({}), "there", 'kubeconfig has no context "there"'],
    ["nothing at all", {}, undefined, 'kubeconfig has no context ""'],
    [
      "an exec plugin",
      config({ exec: { command: "aws" } }),
      undefined,
      'kubeconfig user "u" needs an exec plugin',
    ],
  ];
  for (const [title, given, context, message] of faults) {
    it(`say what is wrong with ${title}`, () => {
      expect(() => kubeconfigCredentials(given, context)).to.throw(message);
    });
  }
});
