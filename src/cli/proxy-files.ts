/** The files beside which an Envoy outside of the cluster is started: pure text. */
import { DEFAULT_MESH_CONFIG } from "../api/mesh-config";
import { bootstrap, certificateDocument, sdsDocuments, type BootstrapPaths } from "../injector/bootstrap";
import { initScript } from "../injector/init-script";
import { FILE_CERTIFICATE_SDS, FILE_ROOT_SDS } from "../injector/names";
import { planRedirect } from "../injector/redirect";
import { RESOURCE_VARIABLE } from "../model/request-metrics";

/** What an external proxy is set up with. */
export interface ProxySetup {
  /** `host:port` at which the proxy reaches the control plane, IPv6 in brackets. */
  readonly adsAddress: string;
  /** The folder as the proxy's machine knows it. */
  readonly folder: string;
  /** Ports that callers reach without the proxy. */
  readonly inboundExcludedPorts: readonly number[];
  /** Ranges whose calls go through the proxy; empty: all. */
  readonly outboundRanges: readonly string[];
  /** Listen on `::` too. */
  readonly ipv6: boolean;
}

/** Whose proxy it is, for those who read traces and logs; no right follows from it. */
export interface ProxyOwner {
  readonly namespace: string;
  /** Of the ExternalWorkload. */
  readonly name: string;
  readonly serviceAccount: string;
}

/** File with environment variables for Envoy, as `env`, systemd and container runtimes read them. */
const FILE_ENVIRONMENT = "envoy.env";

/** Files by name, certificates and key apart. Nothing in them is secret. */
export function proxyFiles(
  setup: ProxySetup,
  { namespace, name, serviceAccount }: ProxyOwner,
): Readonly<Record<string, string>> {
  const { adsAddress, folder, ipv6 } = setup;
  const paths: BootstrapPaths = { identity: folder, run: `${folder}/run` };
  const service = `${serviceAccount}.${namespace}`;
  const plain = bootstrap({ adsAddress, routes: [], metrics: false, ipv6, proof: "certificate" }, paths);
  // Zipkin's name of a service is Envoy's cluster, as it is of sidecars.
  const envoy = { node: { id: `${name}.${namespace}`, cluster: service }, ...plain };
  const redirect = planRedirect(
    DEFAULT_MESH_CONFIG,
    {
      inboundPorts: setup.inboundExcludedPorts,
      outboundPorts: [],
      excludedRanges: [],
      includedRanges: setup.outboundRanges,
    },
    [],
  );
  return {
    "envoy.json": `${JSON.stringify(envoy, undefined, 2)}\n`,
    [FILE_ENVIRONMENT]: `${RESOURCE_VARIABLE}=service.name=${service},service.instance.id=${name},k8s.namespace.name=${namespace}\n`,
    "redirect.sh": `#!/bin/sh\n${initScript(redirect)}`,
    [FILE_CERTIFICATE_SDS]: certificateDocument(paths),
    [FILE_ROOT_SDS]: sdsDocuments(paths).root,
  };
}
