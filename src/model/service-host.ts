/** A Service as hosts name it. */
export interface ServiceName {
  readonly namespace: string;
  readonly name: string;
}

const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/**
 * Reads `service`, `service.namespace`, `service.namespace.svc` and `service.namespace.svc.<cluster domain>`, in any case of
 * letters, with or without a trailing dot (RFC 1034 §3.1). A bare name is of `ownNamespace`. undefined: the host is none of
 * these, so it is no name of a Service.
 */
export function parseServiceHost(host: string, ownNamespace: string): ServiceName | undefined {
  const [name = "", namespace = ownNamespace, svc = "svc"] = host
    .toLowerCase()
    .replace(/[.]$/, "")
    .split(".");
  return svc === "svc" && LABEL.test(name) && LABEL.test(namespace) ? { namespace, name } : undefined;
}
