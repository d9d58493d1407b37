/** Arguments of `kubectl get` for what is there once `npx pepr deploy` has done its work, the first time and each further one. */
export const DEPLOYED_OBJECTS: readonly (readonly string[])[] = [
  ["-n", "osm-system", "meshconfig/osm-mesh-config"],
  ["-n", "osm-system", "secret/osm-ca-bundle", "secret/osm-webhook-cert"],
  ["-n", "pepr-system", "service/osm-controller", "service/osm-webhook", "pdb/osm-controller"],
  ["validatingadmissionpolicy/osm-sidecar-required", "validatingadmissionpolicybinding/osm-sidecar-required"],
  ["crd/meshconfigs.config.openservicemesh.io", "crd/traffictargets.access.smi-spec.io"],
];
