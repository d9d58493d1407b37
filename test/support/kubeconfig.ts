/** Where an API server is, and who asks it. */
export interface KubeAccess {
  readonly server: string;
  /** PEM of the root that verifies it. */
  readonly ca: string;
  readonly token: string;
}

/** A kubeconfig of one context with a token, as JSON, which is YAML too. */
export function kubeconfigOf({ server, ca, token }: KubeAccess): string {
  const cluster = { server, "certificate-authority-data": Buffer.from(ca).toString("base64") };
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
    clusters: [{ name: "test", cluster }],
    users: [{ name: "test", user: { token } }],
  });
}
