import { expect } from "chai";
import { until } from "../../hack/cluster/progress";
import { parseOwnRoots } from "../../src/certificate/own-root";
import {
  CA_ROOT_CONFIGMAP,
  CA_ROOT_KEY,
  CA_SECRET_NAME,
  DEFAULT_OSM_NAMESPACE,
} from "../../src/model/mesh-words";
import {
  OWN_STATUS_ANNOTATION,
  ROTATE_OWN_ANNOTATION,
} from "../../src/runtime/control-plane/own-root-keeper";
import type { KubeObject } from "../../src/runtime/kube";
import { OWN_ROOTS_KEY } from "../../src/runtime/secrets/own-authority";
import { verdict } from "../support/verdict";
import { killWriter } from "./support/live-roots";
import { Mesh, report } from "./support/mesh";
import { TestNamespace } from "./support/namespace";
import { Shop } from "./support/shop";

const SECRET = `/api/v1/namespaces/${DEFAULT_OSM_NAMESPACE}/secrets/${CA_SECRET_NAME}`;
/** The kubelet alone takes two minutes, milliseconds. */
const LONG_MS = 900_000;

interface CaSecret extends KubeObject {
  readonly metadata: KubeObject["metadata"] & { readonly annotations?: Readonly<Record<string, string>> };
  readonly data?: Readonly<Record<string, string>>;
}

// It takes the kubelet's minutes, so only `npm run test:long` asks.
if (process.env["OSM_FULL"] === "1")
  describe("rotation of the control plane's own root on the real mesh, under traffic", function () {
    this.timeout(2 * LONG_MS);
    let mesh: Mesh;
    let shop: Shop;

    before(async () => {
      mesh = await Mesh.open();
      shop = await Shop.open(mesh, "own-root", 1);
    });

    after(() => TestNamespace.removeAll());

    const read = async (): Promise<{
      readonly kinds: readonly string[];
      readonly roots: string;
      readonly said: string;
    }> => {
      const { data, metadata } = await mesh.api.get<CaSecret>(SECRET);
      const text = data?.[OWN_ROOTS_KEY];
      const said = metadata.annotations?.[OWN_STATUS_ANNOTATION] ?? "";
      if (text === undefined) return { kinds: [], roots: "", said };
      const { rotation } = parseOwnRoots(Buffer.from(text, "base64").toString("utf8"));
      const kinds = rotation.made.filter(({ at }) => at >= began).map(({ kind }) => kind);
      return { kinds, roots: rotation.roots.map(({ anchorsPem }) => anchorsPem).join(""), said };
    };
    let began = 0;

    it("makes three moves with the writer killed after each, and no request of an application fails", async () => {
      began = Date.now();
      let seen = 0;
      const counts = await shop.under("rotation of the control plane's root", async () => {
        const annotations = { [ROTATE_OWN_ANNOTATION]: new Date(began).toISOString() };
        await mesh.api.mergePatch(SECRET, { metadata: { annotations } });
        await until("three moves", LONG_MS, async () => {
          const { kinds, said } = await read();
          if (kinds.length > seen) {
            seen = kinds.length;
            report(`${kinds.join(", ")}: ${said}`);
            await killWriter(mesh);
          }
          return kinds.length >= 3 ? true : undefined;
        });
      });
      const { kinds, roots } = await read();
      expect(kinds).to.deep.equal(["trust", "issue", "drop"]);
      verdict("the control plane's own root under traffic, the writer killed after each move", true, {
        count: counts.sent,
        failed: counts.failed,
        bound: "0 failed",
      });
      const path = `/api/v1/namespaces/${shop.namespace.name}/configmaps/${CA_ROOT_CONFIGMAP}`;
      await until("files with the new root alone", LONG_MS, async () => {
        const { data } = await mesh.api.get<CaSecret>(path);
        return data?.[CA_ROOT_KEY] === roots ? true : undefined;
      });
    });

    it("lets a new pod in that has only ever known the new root", async () => {
      const uid = (await shop.namespace.readyPod("server")).metadata.uid;
      await mesh.kubectl.must(["-n", shop.namespace.name, "rollout", "restart", "deployment/server"]);
      await shop.namespace.rolledOut("server");
      await until("another pod", LONG_MS, async () =>
        (await shop.namespace.readyPod("server")).metadata.uid !== uid ? true : undefined,
      );
      await shop.answers(shop.http);
    });
  });
