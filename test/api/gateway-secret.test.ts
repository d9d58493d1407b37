import { X509Certificate } from "node:crypto";
import { expect } from "chai";
import { DEFAULT_MESH_CONFIG, type IngressGateway, type MeshConfigSpec } from "../../src/api/mesh-config";
import { systemClock } from "../../src/runtime/clock";
import { GatewaySecretKeeper } from "../../src/runtime/control-plane/gateway-secret";
import type { KubeObject } from "../../src/runtime/kube";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { isNotFound } from "../../src/runtime/kube/errors";
import { watchedLog } from "../support/told-errors";
import { createRoot, loadAuthority } from "../../src/runtime/secrets/authority";
import { rootsOf } from "../../src/runtime/secrets/workload-secrets";
import { readSettings } from "../../src/runtime/settings";
import { startApiServerForTest, type TestApiServer } from "../support/kube-apiserver";
import { waitFor } from "../support/wait";

interface Secret extends KubeObject {
  readonly data: Readonly<Record<string, string>>;
}

const GATEWAY: IngressGateway = {
  subjectAltNames: ["gw.ingress.cluster.local", "gw"],
  validityDuration: "24h",
  secret: { name: "osm-nginx-client-cert", namespace: "default" },
};
const HOUR = 3_600_000;
const encode = (text: string): string => Buffer.from(text).toString("base64");
const decode = (text = ""): string => Buffer.from(text, "base64").toString();
const pathOf = ({ name, namespace }: IngressGateway["secret"]): string =>
  `/api/v1/namespaces/${namespace}/secrets/${name}`;

describe("the ingress gateway's certificate: a change of any field is noticed", function () {
  this.timeout(240_000);
  const root = createRoot(Date.now());
  const other = createRoot(Date.now());
  const strange = loadAuthority(other.certPem, other.keyPem);
  let server: TestApiServer;
  let kube: ClosableKubeClient;
  let keeper: GatewaySecretKeeper;
  let spec: MeshConfigSpec = DEFAULT_MESH_CONFIG;
  let changed: (spec: MeshConfigSpec) => void = () => undefined;
  let roots = rootsOf(loadAuthority(root.certPem, root.keyPem));
  let rootsChanged: () => void = () => undefined;

  const ask = (ingressGateway: IngressGateway | undefined): void => {
    spec = { ...spec, certificate: { ...spec.certificate, ingressGateway } };
    changed(spec);
  };
  const read = (gateway: IngressGateway): Promise<Secret | undefined> =>
    kube.get<Secret>(pathOf(gateway.secret)).catch((error: unknown) => {
      if (isNotFound(error)) return undefined;
      throw error;
    });
  const certificateOf = ({ data }: Secret): X509Certificate => new X509Certificate(decode(data["tls.crt"]));
  /** A Secret that is whole, and whose certificate is another than that of `before`. */
  const renewed = (gateway: IngressGateway, before?: Secret): Promise<Secret> =>
    waitFor("another certificate", async () => {
      const secret = await read(gateway);
      const whole = secret !== undefined && ["tls.crt", "tls.key", "ca.crt"].every(key => key in secret.data);
      if (!whole) return undefined;
      return before !== undefined && secret.data["tls.crt"] === before.data["tls.crt"] ? undefined : secret;
    });

  before(async () => {
    server = await startApiServerForTest();
    kube = server.client();
    const settings = readSettings({}, "unused");
    await kube.create("/api/v1/namespaces", { metadata: { name: settings.osmNamespace } });
    keeper = new GatewaySecretKeeper({
      ...{ kube, clock: systemClock, log: watchedLog, random: Math.random, settings },
      engine: {
        meshConfig: () => spec,
        onMeshConfig: listener => {
          changed = listener;
          return { close: () => undefined };
        },
      },
      roots: {
        roots: () => roots,
        onRoots: listener => {
          rootsChanged = () => {
            listener(roots);
          };
          return { close: () => undefined };
        },
      },
    });
  });
  after(async () => {
    (keeper as GatewaySecretKeeper | undefined)?.stop();
    (kube as ClosableKubeClient | undefined)?.close();
    await (server as TestApiServer | undefined)?.stop();
  });

  /** Back to the one that all tests begin with. */
  const begin = async (): Promise<Secret> => {
    ask(GATEWAY);
    return waitFor("the first certificate", async () => {
      const secret = await read(GATEWAY);
      if (secret === undefined) return undefined;
      const { subjectAltName, validFrom, validTo } = certificateOf(secret);
      const life = Date.parse(validTo) - Date.parse(validFrom);
      const right =
        subjectAltName === "DNS:gw.ingress.cluster.local, DNS:gw" && life > 24 * HOUR && life < 26 * HOUR;
      return right && decode(secret.data["ca.crt"]) === roots.trustPem ? secret : undefined;
    });
  };

  const names: Readonly<Record<string, readonly string[]>> = {
    "one more": ["gw.ingress.cluster.local", "gw", "gw2"],
    "one less": ["gw"],
    "another one": ["gw.ingress.cluster.local", "other"],
  };
  for (const [what, subjectAltNames] of Object.entries(names)) {
    it(`subjectAltNames: ${what}`, async () => {
      const before = await begin();
      ask({ ...GATEWAY, subjectAltNames });
      const { subjectAltName } = certificateOf(await renewed(GATEWAY, before));
      expect(subjectAltName).to.equal(subjectAltNames.map(name => `DNS:${name}`).join(", "));
    });
  }

  for (const [validityDuration, hours] of [
    ["1h", 1],
    ["48h", 48],
  ] as const) {
    it(`validityDuration: ${validityDuration} instead of 24h`, async () => {
      const before = await begin();
      ask({ ...GATEWAY, validityDuration });
      const { validTo } = certificateOf(await renewed(GATEWAY, before));
      // Issued a moment ago, however slow the machine.
      expect(Date.parse(validTo) - Date.now()).to.be.within(hours * HOUR - 120_000, hours * HOUR);
    });
  }

  for (const place of [
    { name: "osm-contour-envoy-client-cert", namespace: "default" },
    { name: "osm-nginx-client-cert", namespace: "osm-system" },
  ]) {
    it(`secret: ${place.namespace}/${place.name}, and the one before is deleted`, async () => {
      await begin();
      const moved = { ...GATEWAY, secret: place };
      ask(moved);
      await renewed(moved);
      await waitFor("the end of the one before", async () => (await read(GATEWAY)) === undefined);
    });
  }

  const stranger = strange.issue({
    purpose: "gateway",
    commonName: undefined,
    organisation: "Open Service Mesh",
    uris: [],
    dnsNames: GATEWAY.subjectAltNames,
    notBefore: Date.now() - 300_000,
    notAfter: Date.now() + 24 * HOUR,
  });
  const damages: Readonly<Record<string, Readonly<Record<string, string | null>>>> = {
    "tls.crt of another CA": { "tls.crt": encode(stranger.certPem) },
    "tls.crt that is none": { "tls.crt": encode("nothing") },
    "tls.key of another": { "tls.key": encode(stranger.keyPem) },
    "ca.crt of another": { "ca.crt": encode(other.certPem) },
    "no tls.crt": { "tls.crt": "" },
    "no tls.key": { "tls.key": "" },
    "no ca.crt": { "ca.crt": null },
  };
  for (const [what, data] of Object.entries(damages)) {
    it(`the Secret itself, with ${what}, is repaired`, async () => {
      const before = await begin();
      await kube.mergePatch(pathOf(GATEWAY.secret), { data });
      changed(spec);
      const after = await waitFor("the repair", async () => {
        const secret = await read(GATEWAY);
        const isDamaged = Object.entries(data).some(([key, value]) => (secret?.data[key] ?? null) === value);
        return isDamaged ? undefined : secret;
      });
      expect(after.data["tls.crt"], "a new certificate").to.not.equal(before.data["tls.crt"]);
      expect(decode(after.data["ca.crt"])).to.equal(roots.trustPem);
    });
  }

  it("the Secret itself, deleted, comes back", async () => {
    const before = await begin();
    await kube.delete(pathOf(GATEWAY.secret));
    changed(spec);
    await renewed(GATEWAY, before);
  });

  it("another issuer and other roots", async () => {
    const before = await begin();
    roots = rootsOf(strange);
    rootsChanged();
    const after = await renewed(GATEWAY, before);
    expect(decode(after.data["ca.crt"])).to.equal(other.certPem);
    expect(certificateOf(after).verify(new X509Certificate(other.certPem).publicKey)).to.equal(true);
  });

  it("no gateway any more: the Secret goes", async () => {
    await begin();
    ask(undefined);
    await waitFor("its end", async () => (await read(GATEWAY)) === undefined);
  });
});
