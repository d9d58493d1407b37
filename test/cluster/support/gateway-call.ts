import https from "node:https";

/** What `certificate.ingressGateway` keeps in its Secret, as an ingress controller mounts it. */
export interface GatewayFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/**
 * GET over TLS 1.3 as an ingress controller would call a pod, with or without the gateway's certificate: the status and
 * the names in the server's certificate, which `ca` has to have signed; undefined when the connection was refused.
 */
export function callAsGateway(
  url: string,
  { ca, cert, key }: Pick<GatewayFiles, "ca"> & Partial<GatewayFiles>,
): Promise<{ readonly status: number; readonly names: string } | undefined> {
  return new Promise(resolve => {
    let names = "";
    const request = https.get(
      url,
      {
        ca,
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
        agent: false,
        timeout: 10_000,
        // Called by address; who it is stands in the certificate.
        checkServerIdentity: (_host, { subjectaltname = "" }) => {
          names = subjectaltname;
          return undefined;
        },
      },
      response => {
        response.resume().on("end", () => {
          resolve({ status: response.statusCode ?? 0, names });
        });
      },
    );
    request.on("timeout", () => request.destroy());
    request.on("error", () => {
      resolve(undefined);
    });
  });
}
