import cytoscape, { type Core, type StylesheetJson } from "cytoscape";
import { useEffect, useRef } from "preact/hooks";
import type { Graph, GraphNode } from "../graph";
import { placesOf } from "../layout";
import { edgeLabel } from "./words";

/** What the canvas shows and tells. */
export interface CanvasProps {
  readonly graph: Graph;
  readonly dark: boolean;
  readonly selected: string | undefined;
  readonly onSelect: (id: string | undefined) => void;
}

const color = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function styleOf(): StylesheetJson {
  const font = "system-ui, sans-serif";
  return [
    {
      selector: "node",
      style: {
        shape: "round-rectangle",
        width: 140,
        height: 46,
        "background-color": color("card"),
        "border-width": 1.5,
        "border-color": color("line"),
        label: "data(label)",
        "text-wrap": "wrap",
        "text-valign": "center",
        "font-family": font,
        "font-size": 12,
        "line-height": 1.35,
        color: color("ink"),
      },
    },
    {
      selector: "node[kind = 'service']",
      style: {
        shape: "round-tag",
        width: 168,
        height: 46,
        "text-margin-x": -10,
        "border-style": "solid",
        "background-color": color("ground"),
      },
    },
    {
      selector: "node[kind = 'outside']",
      style: { "border-style": "dashed", "background-color": color("ground") },
    },
    { selector: "node[!mtls]", style: { "border-color": color("warn"), "border-style": "dashed" } },
    { selector: "node:selected", style: { "border-color": color("accent"), "border-width": 2.5 } },
    {
      selector: "edge",
      style: {
        width: "data(width)",
        "curve-style": "bezier",
        "control-point-step-size": 70,
        "target-arrow-shape": "triangle",
        "arrow-scale": 0.9,
        "line-color": color("flow"),
        "target-arrow-color": color("flow"),
        label: "data(label)",
        "text-wrap": "wrap",
        "font-family": font,
        "font-size": 10.5,
        "line-height": 1.3,
        color: color("soft"),
        "text-background-color": color("ground"),
        "text-background-opacity": 0.92,
        "text-background-padding": "3px",
        "text-background-shape": "round-rectangle",
      },
    },
    {
      selector: "edge[state = 'idle']",
      style: { "line-style": "dotted", "line-color": color("soft"), "target-arrow-color": color("soft") },
    },
    {
      selector: "edge[state = 'refused']",
      style: {
        "line-style": "dashed",
        "line-color": color("warn"),
        "target-arrow-color": color("warn"),
        color: color("warn"),
      },
    },
    {
      selector: "edge[state = 'failing']",
      style: {
        "line-color": color("bad"),
        "target-arrow-color": color("bad"),
        color: color("bad"),
        "font-weight": "bold",
      },
    },
    {
      selector: "edge:selected",
      // Its own colour stays: what is failing is red also while it is looked at.
      style: { "underlay-color": color("accent"), "underlay-opacity": 0.3, "underlay-padding": 6 },
    },
  ] as StylesheetJson;
}

/** Longest text that stands in a box, characters. */
const LONGEST = 19;

const fitted = (text: string): string => (text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 1)}…`);

function labelOf({ kind, name, namespace, workload }: GraphNode): string {
  if (kind === "outside") return "outside";
  if (kind === "service") return `${fitted(name)}\nService · ${fitted(namespace)}`;
  const pods = workload === undefined || workload.pods === 1 ? "" : ` ×${workload.pods}`;
  return `${fitted(name)}${pods}\n${fitted(namespace)}`;
}

/** Puts the graph on the canvas; what is there already stays where it is unless the picture's shape changes. */
function draw(core: Core, graph: Graph, isTall: boolean): boolean {
  const places = placesOf(graph);
  const ids = new Set([...graph.nodes, ...graph.edges].map(({ id }) => id));
  const shape = [...places].map(([id, { column, row }]) => `${id} ${column} ${row}`).join() + String(isTall);
  const isNew = core.scratch("shape") !== shape;
  core.batch(() => {
    core.elements().forEach(element => {
      if (!ids.has(element.id())) element.remove();
    });
    for (const node of graph.nodes) {
      const { column = 0, row = 0 } = places.get(node.id) ?? {};
      const position = isTall ? { x: row * 185, y: column * 140 } : { x: column * 265, y: row * 108 };
      const data = { id: node.id, label: labelOf(node), kind: node.kind, mtls: node.mtls };
      const known = core.getElementById(node.id);
      if (known.empty()) core.add({ group: "nodes", data, position });
      else known.data(data).position(position);
    }
    for (const edge of graph.edges) {
      const width = edge.rate <= 0 ? 1.2 : Math.min(5, 1.5 + Math.log10(1 + edge.rate));
      const data = {
        id: edge.id,
        source: edge.from,
        target: edge.to,
        label: edgeLabel(edge),
        state: edge.state,
        width,
      };
      const known = core.getElementById(edge.id);
      if (known.empty()) core.add({ group: "edges", data });
      else known.data(data);
    }
  });
  core.scratch("shape", shape);
  return isNew;
}

/** Below this nothing can be read. */
const LEGIBLE = 0.62;

function fit(core: Core): void {
  core.fit(undefined, 48);
  core.zoom(Math.min(1.25, Math.max(LEGIBLE, core.zoom())));
  core.center();
  // What does not fit is begun at its beginning, and can be moved.
  const box = core.elements().renderedBoundingBox();
  if (box.w > core.width()) core.panBy({ x: 24 - box.x1, y: 0 });
  if (box.h > core.height()) core.panBy({ x: 0, y: 24 - box.y1 });
}

/** The live picture. It is for eyes and pointers; the list beside it says the same to keyboards and readers. */
export function Canvas({ graph, dark, selected, onSelect }: CanvasProps) {
  const place = useRef<HTMLDivElement>(null);
  const core = useRef<Core | undefined>(undefined);
  useEffect(() => {
    if (place.current === null) return undefined;
    const made = cytoscape({
      container: place.current,
      minZoom: 0.2,
      maxZoom: 2.5,
      autoungrabify: true,
      boxSelectionEnabled: false,
    });
    core.current = made;
    made.on("tap", event => {
      onSelect(event.target === made ? undefined : (event.target as { id(): string }).id());
    });
    const resized = new ResizeObserver(() => {
      made.resize();
      fit(made);
    });
    resized.observe(place.current);
    return () => {
      resized.disconnect();
      made.destroy();
    };
  }, []);
  useEffect(() => {
    core.current?.style(styleOf());
  }, [dark]);
  useEffect(() => {
    const made = core.current;
    if (made === undefined) return;
    if (draw(made, graph, made.width() < 560)) fit(made);
    made.elements().unselect();
    if (selected !== undefined) made.getElementById(selected).select();
  }, [graph, selected]);
  return <div class="canvas" ref={place} aria-hidden="true" />;
}
