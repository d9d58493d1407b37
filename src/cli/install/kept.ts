/** What a mesh was installed with, so that an upgrade keeps it. */
import type { InstallObject } from "../../install/object";
import type { LiveDeployment } from "../../install/deployments";
import { meshVariables } from "./manifest";
import type { Wanted } from "./set-values";

interface PodSpec {
  readonly containers: readonly { readonly image?: string }[];
  readonly imagePullSecrets?: readonly { readonly name?: string }[];
}

const podSpecOf = (deployment: InstallObject): PodSpec =>
  (deployment as LiveDeployment).spec.template.spec as PodSpec;

/** An image's name without tag and digest. */
const repository = (image: string): string => image.replace(/@.*$/, "").replace(/:[^/:]*$/, "");

/** The image that runs, where it is from another place than the manifest's: then somebody chose it. */
function chosenImage(live: InstallObject, manifest: readonly InstallObject[]): string | undefined {
  const image = podSpecOf(live).containers[0]?.image;
  const built = manifest.find(({ kind }) => kind === "Deployment");
  const ours = built === undefined ? undefined : podSpecOf(built).containers[0]?.image;
  if (image === undefined || (ours !== undefined && repository(ours) === repository(image))) return undefined;
  return image;
}

/**
 * What is asked for, over what the Deployment of the admission pods shows that was asked for before: environment, replicas, pull
 * secrets, and an image from another registry. Without a manifest the image is left to whoever installs.
 */
export function keeping(
  wanted: Wanted,
  live: LiveDeployment,
  manifest: readonly InstallObject[] | undefined,
): Wanted {
  const image = wanted.controllerImage ?? (manifest === undefined ? undefined : chosenImage(live, manifest));
  const running = live.spec["replicas"] as number | undefined;
  // Scaled to none is how somebody stopped it, not how it was installed.
  const replicas = wanted.replicas ?? (running === 0 ? undefined : running);
  const before = (podSpecOf(live).imagePullSecrets ?? []).flatMap(({ name }) => name ?? []);
  return {
    ...wanted,
    environment: { ...meshVariables(live), ...wanted.environment },
    imagePullSecrets: wanted.imagePullSecrets.length === 0 ? before : wanted.imagePullSecrets,
    ...(image === undefined ? {} : { controllerImage: image }),
    ...(replicas === undefined ? {} : { replicas }),
  };
}
