/** Policy objects with what they refer to looked up, as cells. One file per kind says what they mean. */
import type { Catalog } from "../catalog/index";
import type { Inputs } from "../catalog/inputs";
import type { View } from "../catalog/node-groups";
import { viewKey } from "../catalog/node-groups";
import { structurallyEqual } from "../graph/equality";
import type { Family, Read } from "../graph/graph";
import { oldestFirst } from "../model/age";
import type { Compiled } from "../model/diagnostic";
import type { UpstreamTrafficSetting } from "../model/traffic";
import type { TargetGrants } from "./access";
import { readTarget } from "./access";
import type { IngressFacts, IngressParts, IngressPort } from "./ingress";
import { ingressParts } from "./ingress";
import { chooseRetries } from "./retry";
import type { RouteGroup } from "./route-group";
import { createRouteGroups } from "./route-group";
import type { Settings } from "./settings";
import type { ActiveSplit, SplitFacts } from "./split";
import { readSplits } from "./split";
import type { Logging } from "./telemetry";
import { readTelemetry } from "./telemetry";
import { chooseSetting } from "./upstream";

/** Traffic policy of the mesh. */
export interface Traffic {
  /** HTTPRouteGroup by key. */
  readonly group: Family<string, RouteGroup | undefined>;
  /** TrafficTarget by key. */
  readonly target: Family<string, Compiled<TargetGrants> | undefined>;
  /** TrafficSplits by key of their root Service. */
  readonly splits: Family<string, Compiled<readonly ActiveSplit[]>>;
  /** The UpstreamTrafficSetting that counts, by key of the Service. */
  readonly setting: Family<string, Compiled<UpstreamTrafficSetting | undefined>>;
  /** Key of the Retry that a view's clients have, by key of the Service. */
  readonly retries: Family<View, Readonly<Record<string, string>>>;
  /** What IngressBackends open of a container port that Services (by key) lead to. */
  readonly ingress: Family<Omit<IngressPort, "trustDomain">, IngressParts>;
  /** Telemetry by key. */
  readonly logging: Family<string, Compiled<Logging> | undefined>;
}

/** Traffic policy as cells. */
export function createTraffic(inputs: Inputs, catalog: Catalog, settings: Settings): Traffic {
  const { graph } = inputs;
  const group = createRouteGroups(inputs, settings.pathReading);
  return {
    group,
    target: graph.family({
      label: "target",
      keyOf: (key: string) => key,
      compute: (read, key) => {
        const target = read(inputs.trafficTargets.row(key));
        if (target === undefined) return undefined;
        return readTarget(target, {
          sources: read(catalog.access.subjects(target.sources)),
          group: name => read(group(name)),
          route: name => read(inputs.tcpRoutes.row(name)),
        });
      },
      equals: structurallyEqual,
    }),
    splits: graph.family({
      label: "splits",
      keyOf: (key: string) => key,
      compute: (read, root) => {
        const splits = read(inputs.trafficSplits.by("root", root)).flatMap(
          key => read(inputs.trafficSplits.row(key)) ?? [],
        );
        return readSplits(root, oldestFirst(splits), splitFacts(read, { inputs, catalog, group }));
      },
      equals: structurallyEqual,
    }),
    ...createTerms(inputs),
    ingress: graph.family({
      label: "ingress",
      keyOf: ({ port, services }) => `${port}|${services.join("|")}`,
      compute: (read, at: Omit<IngressPort, "trustDomain">) => {
        const { ingressBackends } = inputs;
        const keys = at.services.flatMap(service => read(ingressBackends.by("service", service)));
        const policies = [...new Set(keys)].flatMap(key => read(ingressBackends.row(key)) ?? []);
        const trustDomain = read(settings.callerDomain);
        return ingressParts(
          oldestFirst(policies),
          { ...at, trustDomain },
          ingressFacts(read, catalog, group),
        );
      },
      equals: structurallyEqual,
    }),
  };
}

/** What IngressBackends refer to. */
export function ingressFacts(read: Read, { endpoints }: Catalog, group: Traffic["group"]): IngressFacts {
  return {
    addresses: service => read(endpoints.addresses(service)),
    group: key => read(group(key)),
  };
}

/** Terms of calls, of their logs, and who has them. */
function createTerms(inputs: Inputs): Pick<Traffic, "setting" | "retries" | "logging"> {
  const { graph, upstreamTrafficSettings, retries, telemetries, extensionServices } = inputs;
  return {
    setting: graph.family({
      label: "setting",
      keyOf: (key: string) => key,
      compute: (read, service) => {
        const keys = read(upstreamTrafficSettings.by("service", service));
        return chooseSetting(oldestFirst(keys.flatMap(key => read(upstreamTrafficSettings.row(key)) ?? [])));
      },
      equals: structurallyEqual,
    }),
    retries: graph.family({
      label: "retries",
      keyOf: viewKey,
      compute: (read, view: View) =>
        chooseRetries(oldestFirst((view.retries ?? []).flatMap(key => read(retries.row(key)) ?? []))),
      equals: structurallyEqual,
    }),
    logging: graph.family({
      label: "logging",
      keyOf: (key: string) => key,
      compute: (read, key) => {
        const telemetry = read(telemetries.row(key));
        return telemetry && readTelemetry(telemetry, service => read(extensionServices.row(service)));
      },
      equals: structurallyEqual,
    }),
  };
}

function splitFacts(
  read: Read,
  { inputs, catalog, group }: { inputs: Inputs; catalog: Catalog; group: Traffic["group"] },
): SplitFacts {
  return {
    service: key => read(inputs.services.row(key)),
    standing: key => {
      const service = read(inputs.services.row(key));
      if (service?.selector === undefined || service.kind === "externalName") return undefined;
      if (!read(catalog.membership.isMeshed(service.namespace))) return undefined;
      return read(catalog.endpoints.standing(key));
    },
    group: key => read(group(key)),
  };
}
