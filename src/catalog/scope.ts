import { structurallyEqual } from "../graph/equality";
import type { Family, Read } from "../graph/graph";
import type { ServiceIdentity } from "../model/identity";
import { identityKey } from "../model/identity";
import type { Access } from "./access";
import type { Inputs } from "./inputs";
import { isCandidate } from "./inputs";
import type { Membership } from "./mesh";
import type { NodeGroups } from "./node-groups";
import type { PodAddresses } from "./pod-addresses";

/** A part of the mesh. */
export interface Scope {
  /** Keys of Services, sorted. */
  readonly services: readonly string[];
  /** Keys of the pods that can be called by their own addresses, sorted. */
  readonly pods: readonly string[];
}

/** What scopes are made of. */
export interface ScopeSources {
  readonly membership: Membership;
  readonly access: Access;
  readonly nodeGroups: NodeGroups;
  readonly podAddresses: PodAddresses;
}

/**
 * What an identity may call at all, whatever the request: of the pods of TrafficTargets that name it as a source, and of permissive
 * namespaces, the Services that lead to them, with the roots and backends of the TrafficSplits among those, and the own addresses
 * of those that a headless Service leads to. Its clients have no other address to call; where there is one, a pod's own is hardly
 * ever called, and a listener for each of them would be most of what a proxy is told.
 */
export function createScopes(inputs: Inputs, sources: ScopeSources): Family<ServiceIdentity, Scope> {
  const { graph, services, pods } = inputs;
  const { membership, access } = sources;
  const { isPicked } = sources.podAddresses;
  const open = graph.derive(
    "openScope",
    (read): Scope => {
      const namespaces = read(membership.namespaces).filter(name => read(access.permissive(name)));
      return {
        services: namespaces.flatMap(name => read(services.by("candidate", name))),
        pods: namespaces.flatMap(name => read(pods.by("meshedIn", name))).filter(key => read(isPicked(key))),
      };
    },
    structurallyEqual,
  );
  return graph.family<ServiceIdentity, Scope>({
    label: "scope",
    keyOf: identityKey,
    compute: (read, identity) => {
      const permitted = permittedPods(read, inputs, { access, identity });
      const leading = permitted
        .flatMap(key => read(sources.nodeGroups.served(key)))
        .flatMap(({ frontends }) => frontends.map(({ service }) => service));
      const shown = withSplits(read, inputs, [...read(open).services, ...leading]);
      const known = [...shown].filter(key => {
        const service = read(services.row(key));
        return service !== undefined && isCandidate(service) && read(membership.isMeshed(service.namespace));
      });
      const called = permitted.filter(key => read(isPicked(key)));
      return { services: known.sort(), pods: [...new Set([...read(open).pods, ...called])].sort() };
    },
    equals: structurallyEqual,
  });
}

/** Keys of the pods that some TrafficTarget lets an identity call, in any order. */
function permittedPods(
  read: Read,
  { trafficTargets }: Inputs,
  { access, identity }: { readonly access: Access; readonly identity: ServiceIdentity },
): readonly string[] {
  const account = identityKey(identity);
  const candidates = [
    ...read(trafficTargets.by("source", account)),
    ...read(trafficTargets.by("sourceIn", identity.namespace)),
  ];
  const found = candidates.flatMap(key => {
    const target = read(trafficTargets.row(key));
    if (target === undefined) return [];
    const { identities } = read(access.subjects(target.sources));
    return identities.some(source => identityKey(source) === account)
      ? read(access.pods(target.destination))
      : [];
  });
  return [...new Set(found)];
}

/** Calls of a root go to its backends, and who may call a backend is led to it by its root. */
function withSplits(read: Read, { trafficSplits }: Inputs, keys: readonly string[]): ReadonlySet<string> {
  const shown = new Set(keys);
  for (const key of keys) {
    for (const split of read(trafficSplits.by("backend", key))) {
      const root = read(trafficSplits.row(split))?.root;
      if (root !== undefined) shown.add(root);
    }
  }
  for (const key of [...shown]) {
    for (const split of read(trafficSplits.by("root", key))) {
      for (const { service } of read(trafficSplits.row(split))?.backends ?? []) shown.add(service);
    }
  }
  return shown;
}
