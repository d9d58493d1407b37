/** Where the rotation of the workloads' root is persisted: beside the built-in CA, in its Secret. */
import { initialRotation, type RotationState, type TrustedRoot } from "../../certificate/root-rotation";
import { parseRotation, printRotation } from "../../certificate/rotation-record";
import { CA_SECRET_NAME } from "../../model/mesh-words";
import type { Issuer } from "../issuers/issuer";
import type { KubeClient, KubeObject } from "../kube";

/** Key of the Secret with the record; absent as long as no root has ever been rotated. */
const ROTATION_KEY = "rotation.json";

/** The Secret as far as it is read here. */
interface RecordSecret extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

/** The built-in root. */
export function builtInRoot({ fingerprint, anchorsPem }: Issuer): TrustedRoot {
  return { fingerprint, anchorsPem, owner: undefined, provider: undefined };
}

/** The record in the Secret of the CA, as text; undefined: there is none. */
export function recordText(secret: object): string | undefined {
  const value = (secret as RecordSecret).data?.[ROTATION_KEY];
  return value === undefined ? undefined : Buffer.from(value, "base64").toString("utf8");
}

/** What a record says; without one the built-in root is all there is. Throws when it cannot be understood. */
export function rotationOf(text: string | undefined, builtIn: Issuer): RotationState {
  return text === undefined ? initialRotation(builtInRoot(builtIn)) : parseRotation(text);
}

/** Where the record is. */
export interface RecordPlace {
  readonly kube: Pick<KubeClient, "get" | "mergePatch">;
  /** Namespace of the CA's Secret. */
  readonly namespace: string;
}

function pathOf({ namespace }: RecordPlace): string {
  return `/api/v1/namespaces/${namespace}/secrets/${CA_SECRET_NAME}`;
}

/** Reads the record; undefined: there is none. Rejects when the Secret cannot be read. */
export async function readRecord(place: RecordPlace): Promise<string | undefined> {
  return recordText(await place.kube.get<RecordSecret>(pathOf(place)));
}

/**
 * Writes a state over the one it follows from, and answers what stands there then: what somebody else has written
 * meanwhile, where that is something else than `before`. Rejects when nothing could be read or written.
 */
export async function writeRecord(
  place: RecordPlace,
  before: string | undefined,
  state: RotationState,
): Promise<string> {
  const secret = await place.kube.get<RecordSecret>(pathOf(place));
  const standing = recordText(secret);
  if (standing !== undefined && standing !== before) return standing;
  const text = printRotation(state);
  // The version makes a second writer's change a conflict, and a conflict is tried again with what it wrote.
  const { resourceVersion } = secret.metadata;
  const data = { [ROTATION_KEY]: Buffer.from(text, "utf8").toString("base64") };
  await place.kube.mergePatch(pathOf(place), { metadata: { resourceVersion }, data });
  return text;
}
