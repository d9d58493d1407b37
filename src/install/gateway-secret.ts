import type { IngressGateway } from "../api/mesh-config";
import type { InstallSettings } from "./names";
import { meshLabels } from "./names";
import type { InstallObject } from "./object";

/** The certificate of an ingress controller, PEM. */
export interface GatewayMaterial {
  readonly certPem: string;
  readonly keyPem: string;
  /** Roots that workloads are verified with; several during a rotation. */
  readonly rootsPem: string;
}

/** Labels by which the mesh knows a Secret as its own; one without them is never changed or deleted. */
export function gatewayLabels(settings: InstallSettings): Readonly<Record<string, string>> {
  return { ...meshLabels(settings), "app.kubernetes.io/component": "ingress-gateway-certificate" };
}

const encode = (text: string): string => Buffer.from(text).toString("base64");

/** The Secret that MeshConfig's `certificate.ingressGateway` asks for, with OSM's keys. */
export function gatewaySecret(
  settings: InstallSettings,
  place: IngressGateway["secret"],
  material: GatewayMaterial,
): InstallObject & { readonly data: Readonly<Record<string, string>> } {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: place.name, namespace: place.namespace, labels: gatewayLabels(settings) },
    type: "kubernetes.io/tls",
    data: {
      "ca.crt": encode(material.rootsPem),
      "tls.crt": encode(material.certPem),
      "tls.key": encode(material.keyPem),
    },
  };
}

/** Reads such a Secret back; undefined when a part is missing. */
export function readGatewaySecret(secret: object): GatewayMaterial | undefined {
  const data = (secret as { readonly data?: Readonly<Record<string, unknown>> }).data;
  const part = (key: string): string => {
    const value = data?.[key];
    return typeof value === "string" ? Buffer.from(value, "base64").toString("utf8") : "";
  };
  const [rootsPem, certPem, keyPem] = [part("ca.crt"), part("tls.crt"), part("tls.key")];
  return [rootsPem, certPem, keyPem].includes("") ? undefined : { rootsPem, certPem, keyPem };
}

/** Whether a Secret is one that the mesh made. */
export function isGatewaySecret(settings: InstallSettings, secret: object): boolean {
  const { labels = {} } = (secret as { metadata: { labels?: Readonly<Record<string, string>> } }).metadata;
  return Object.entries(gatewayLabels(settings)).every(([key, value]) => labels[key] === value);
}
