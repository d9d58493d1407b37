/** What an upgrade makes of the images that a mesh was installed with, in words. */
import type { LiveDeployment } from "../../install/deployments";
import { DEFAULT_IMAGES } from "../../runtime/settings";
import { meshVariables } from "./manifest";

/** Images that a mesh runs with. */
interface Images {
  readonly controlPlane: string;
  /** Undefined: that of the control plane's version. */
  readonly sidecar: string | undefined;
  readonly init: string | undefined;
}

function imagesOf(deployment: LiveDeployment): Images {
  const [container] = deployment.spec.template.spec.containers as readonly { readonly image?: string }[];
  const variables = meshVariables(deployment);
  return {
    controlPlane: container?.image ?? "",
    sidecar: variables["OSM_ENVOY_IMAGE"],
    init: variables["OSM_INIT_IMAGE"],
  };
}

/** Images that the MeshConfig names; they count before those of the installation. */
export interface ConfiguredImages {
  readonly envoyImage?: string;
  readonly initContainerImage?: string;
}

interface Row {
  readonly what: string;
  /** Of `--set`. */
  readonly value: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
  /** Where neither the installation nor the MeshConfig names one. */
  readonly own: string;
  readonly configured: string | undefined;
}

function lineOf({ what, value, before, after, own, configured }: Row): string {
  if (configured !== undefined && configured !== "")
    return `  ${what}: image ${configured} stays, as MeshConfig says`;
  if (after === undefined) return `  ${what}: image ${own}, that of this version`;
  if (after === before) return `  ${what}: image ${after} stays (--set ${value}=IMAGE changes it)`;
  return `  ${what}: image ${after}${before === undefined ? "" : `, before ${before}`}`;
}

/** A line for each image: what stays, and what changes from what to what. `after` is the Deployment as it is to be. */
export function imageLines(
  before: LiveDeployment,
  after: LiveDeployment,
  { envoyImage, initContainerImage }: ConfiguredImages,
): readonly string[] {
  const [old, next] = [imagesOf(before), imagesOf(after)];
  const rows: readonly Row[] = [
    {
      what: "control plane",
      value: "controllerImage",
      before: old.controlPlane,
      after: next.controlPlane,
      own: next.controlPlane,
      configured: undefined,
    },
    {
      what: "sidecars of pods made from now on",
      value: "sidecarImage",
      before: old.sidecar,
      after: next.sidecar,
      own: DEFAULT_IMAGES.envoy,
      configured: envoyImage,
    },
    {
      what: "their init containers",
      value: "initImage",
      before: old.init,
      after: next.init,
      own: DEFAULT_IMAGES.init,
      configured: initContainerImage,
    },
  ];
  return rows.map(lineOf);
}
