import { INIT_CONTAINER, RESERVED_PORTS, SIDECAR_CONTAINER, SIDECAR_UID } from "../model/mesh-words";
import { RESERVED_VOLUMES } from "./names";
import type { Container, PodJson } from "./pod";
import { everyContainer } from "./pod";

/** What stands in the way of injection, with the field that must change. */
export interface Conflict {
  readonly field: string;
  readonly message: string;
}

/**
 * Looks for what only the sidecar may have: its container and volume names, its ports and its user. A pod with these
 * would look injected without being so, or could send traffic past the sidecar. Expects a pod without injection.
 */
export function findConflict(pod: PodJson): Conflict | undefined {
  return podUserConflict(pod) ?? volumeConflict(pod) ?? firstContainerConflict(pod);
}

function podUserConflict(pod: PodJson): Conflict | undefined {
  if (pod.spec?.securityContext?.runAsUser !== SIDECAR_UID) return undefined;
  return userConflict("spec.securityContext.runAsUser");
}

function userConflict(field: string): Conflict {
  const message = `user ${SIDECAR_UID} is the sidecar's, whose traffic is not redirected; choose another`;
  return { field, message };
}

function volumeConflict(pod: PodJson): Conflict | undefined {
  for (const [index, volume] of (pod.spec?.volumes ?? []).entries()) {
    if (!RESERVED_VOLUMES.includes(volume.name)) continue;
    return { field: `spec.volumes[${index}].name`, message: `volume name ${volume.name} is the sidecar's` };
  }
  return undefined;
}

function firstContainerConflict(pod: PodJson): Conflict | undefined {
  for (const { container, field } of everyContainer(pod)) {
    const conflict = nameConflict(container, field) ?? useConflict(container, field);
    if (conflict !== undefined) return conflict;
  }
  return undefined;
}

function nameConflict(container: Container, field: string): Conflict | undefined {
  if (container.name !== SIDECAR_CONTAINER && container.name !== INIT_CONTAINER) return undefined;
  return {
    field: `${field}.name`,
    message: `container name ${container.name} is the sidecar's and this container was not made by the injector`,
  };
}

function useConflict(container: Container, field: string): Conflict | undefined {
  if (container.securityContext?.runAsUser === SIDECAR_UID)
    return userConflict(`${field}.securityContext.runAsUser`);
  const port = (container.ports ?? []).findIndex(({ containerPort }) =>
    RESERVED_PORTS.includes(containerPort),
  );
  if (port >= 0) {
    const number = container.ports?.[port]?.containerPort ?? 0;
    return {
      field: `${field}.ports[${port}].containerPort`,
      message: `port ${number} belongs to the sidecar (reserved: ${RESERVED_PORTS.join(", ")})`,
    };
  }
  const mount = (container.volumeMounts ?? []).findIndex(({ name }) => RESERVED_VOLUMES.includes(name));
  if (mount < 0) return undefined;
  return { field: `${field}.volumeMounts[${mount}].name`, message: "this volume is for the sidecar only" };
}
