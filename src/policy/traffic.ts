/** Policy objects with what they refer to looked up, as cells. One file per kind says what they mean. */
import type { Catalog } from "../catalog/index";
import type { Inputs } from "../catalog/inputs";
import { structurallyEqual } from "../graph/equality";
import type { Family, Read } from "../graph/graph";
import type { Compiled } from "../model/diagnostic";
import type { TargetGrants } from "./access";
import { readTarget } from "./access";
import type { RouteGroup } from "./route-group";
import { createRouteGroups } from "./route-group";
import type { Settings } from "./settings";
import type { ActiveSplit, SplitFacts } from "./split";
import { oldestFirst, readSplits } from "./split";

/** Traffic policy of the mesh. */
export interface Traffic {
  /** HTTPRouteGroup by key. */
  readonly group: Family<string, RouteGroup | undefined>;
  /** TrafficTarget by key. */
  readonly target: Family<string, Compiled<TargetGrants> | undefined>;
  /** TrafficSplits by key of their root Service. */
  readonly splits: Family<string, Compiled<readonly ActiveSplit[]>>;
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
