/** HTTPRouteGroups as matches, once for all policies that refer to them. */
import type { Inputs } from "../catalog/inputs";
import { structurallyEqual } from "../graph/equality";
import type { Cell, Family } from "../graph/graph";
import type { ObjectRef } from "../model/object-ref";
import type { HttpRouteGroup } from "../model/traffic";
import { headerMatch, pathMatch } from "./path-pattern";
import type { PathReading } from "./path-pattern";
import type { HttpMatch } from "./types";

/** A group whose patterns are read as the mesh says. */
export interface RouteGroup {
  readonly ref: ObjectRef;
  readonly matches: readonly { readonly name: string; readonly match: HttpMatch }[];
}

/** Matches of a group, in its order. */
export function readRouteGroup({ ref, matches }: HttpRouteGroup, reading: PathReading): RouteGroup {
  return {
    ref,
    matches: matches.map(({ name, pathRegex, methods, headers }) => ({
      name,
      match: {
        path: pathMatch(pathRegex, reading),
        methods,
        headers: headers.map(header => headerMatch(header.name, header.pattern)),
      },
    })),
  };
}

/** Groups by key; undefined: there is none. */
export function createRouteGroups(
  { graph, httpRouteGroups }: Inputs,
  reading: Cell<PathReading>,
): Family<string, RouteGroup | undefined> {
  return graph.family({
    label: "routeGroup",
    keyOf: (key: string) => key,
    compute: (read, key) => {
      const group = read(httpRouteGroups.row(key));
      return group === undefined ? undefined : readRouteGroup(group, read(reading));
    },
    equals: structurallyEqual,
  });
}
