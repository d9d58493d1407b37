import { until } from "../../../hack/cluster/progress";
import { MODULE } from "../../../src/install/names";
import { ADS_PORT, ADS_SAN, CA_ROOT_CONFIGMAP, CA_ROOT_KEY } from "../../../src/model/mesh-words";
import { AdsClient, type AdsClientOptions } from "../../support/ads-client";
import type { PodView } from "./mesh";
import type { TestNamespace } from "./namespace";
import { tokenFor } from "./tokens";

/** Everything a client needs to be a pod's proxy at one replica of the control plane. */
export class AdsProbe {
  private constructor(
    private readonly address: string,
    private readonly root: string,
    private readonly token: string,
  ) {}

  /** For a pod of this namespace under its account, at the first replica; its token is good for `seconds`. */
  public static async of(namespace: TestNamespace, pod: PodView, seconds = 600): Promise<AdsProbe> {
    const { mesh, name } = namespace;
    const root = await until("the control plane's root", 60_000, async () => {
      const where = ["get", "configmap", CA_ROOT_CONFIGMAP, "-o", "json"];
      const { data } = JSON.parse(await namespace.kubectl(where)) as { data: Record<string, string> };
      return data[CA_ROOT_KEY];
    });
    const { serviceAccountName: serviceAccount = "default" } = pod.spec;
    const token = await tokenFor(mesh, { namespace: name, serviceAccount, pod, seconds });
    const [server] = await mesh.controlPlane(MODULE);
    return new AdsProbe(`${server?.status.podIP ?? ""}:${ADS_PORT}`, root, token);
  }

  /** A connection of its own; `token` replaces the pod's, `answer` says what is taken (default: everything). */
  public connect(token = this.token, answer?: AdsClientOptions["answer"]): AdsClient {
    const { address, root } = this;
    return new AdsClient({
      address,
      root,
      serverName: ADS_SAN,
      token,
      ...(answer === undefined ? {} : { answer }),
    });
  }
}
