import { until } from "../../hack/cluster/progress";
import { API_KINDS } from "../../src/api/kinds";
import { EMBEDDED_CRDS } from "../../src/install/crds";
import type { KubeClient } from "../../src/runtime/kube";

const DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/** Applies the definitions of all kinds, and waits until each kind is served. */
export async function serveKinds(kube: KubeClient): Promise<void> {
  for (const definition of EMBEDDED_CRDS) {
    await kube.apply(`${DEFINITIONS}/${definition.metadata.name}`, definition, "test");
  }
  await until("the kinds to be served", 60_000, async () => {
    for (const { group, version, plural } of API_KINDS) await kube.get(`/apis/${group}/${version}/${plural}`);
    return true;
  });
}
