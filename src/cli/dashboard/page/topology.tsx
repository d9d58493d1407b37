import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Graph, GraphEdge, GraphNode } from "../graph";
import { Canvas } from "./canvas";
import { Explain } from "./explain";
import { rateText, shareText, shortName, STATE_WORDS, successOf, timeText } from "./words";

const ORDER = { failing: 0, refused: 1, well: 2, idle: 3 } as const;

function titleOf({ from, to, dialled }: GraphEdge): string {
  const port = dialled?.to.split(":").at(-1);
  return `${shortName(from)} → ${shortName(to)}${port === undefined ? "" : `:${port}`}`;
}

function figures(edge: GraphEdge): string {
  const { rate, state, p50, p99, refused, weight, measured } = edge;
  if (weight !== undefined)
    return `${shareText(weight)} of the calls${measured === undefined ? "" : `, measured ${shareText(measured)}`}`;
  if (rate <= 0) return "allowed, no calls";
  const times =
    p50 === undefined || p99 === undefined ? "" : ` · p50\u00a0${timeText(p50)} · p99\u00a0${timeText(p99)}`;
  const share =
    state === "refused"
      ? `${shareText(refused / rate)} refused`
      : `${shareText(successOf(edge))}\u00a0success`;
  return `${share}${times}`;
}

/** The same with the rate, where it stands in a line of its own. */
function allFigures(edge: GraphEdge): string {
  return edge.rate > 0 && edge.weight === undefined
    ? `${rateText(edge.rate)} · ${figures(edge)}`
    : figures(edge);
}

/** What needs somebody first; shares of a split after the calls that they share out. */
function rankOf({ state, weight }: GraphEdge): number {
  return 2 * ORDER[state] + (weight === undefined ? 0 : 1);
}

function EdgeList({ graph, selected, onSelect }: Pick<TopologyProps, "graph"> & Selection) {
  const edges = [...graph.edges].sort((a, b) => rankOf(a) - rankOf(b) || b.rate - a.rate);
  if (edges.length === 0) return <p class="quiet">No calls have been seen and none are allowed by name.</p>;
  return (
    <ul class="edges" aria-label="Calls">
      {edges.map(edge => (
        <li key={edge.id}>
          <button
            type="button"
            class={edge.state}
            data-edge={edge.id}
            data-state={edge.state}
            aria-pressed={selected === edge.id}
            onClick={() => onSelect(edge.id)}
          >
            <span class="mark" />
            <span class="title">{titleOf(edge)}</span>
            <span class="rate">{edge.rate > 0 ? rateText(edge.rate) : ""}</span>
            <span class="figures">{figures(edge)}</span>
            <span class="hidden">{STATE_WORDS[edge.state]}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

function EdgePanel({ edge }: { readonly edge: GraphEdge }) {
  const { from, to, state, by, dialled } = edge;
  return (
    <>
      <h2>{titleOf(edge)}</h2>
      <p class={`state ${state}`}>{STATE_WORDS[state]}</p>
      <dl>
        <dt>From</dt>
        <dd>{from}</dd>
        <dt>To</dt>
        <dd>{dialled?.to ?? to}</dd>
        <dt>Calls</dt>
        <dd>{allFigures(edge)}</dd>
        {by.length > 0 && (
          <>
            <dt>Allowed by</dt>
            <dd>TrafficTarget {by.join(", ")}</dd>
          </>
        )}
      </dl>
      {dialled !== undefined && <Explain {...dialled} />}
    </>
  );
}

function NodePanel({ node, graph }: { readonly node: GraphNode; readonly graph: Graph }) {
  const { workload, service, name, namespace, mtls } = node;
  const access =
    workload?.open === true ? "open to everybody in the mesh" : "only whom a TrafficTarget names";
  const calls = graph.edges.filter(({ from, to }) => from === node.id || to === node.id);
  return (
    <>
      <h2>{name}</h2>
      <p class="quiet">
        {workload?.workload.split("/")[1] ?? "Service"} in {namespace}
      </p>
      <dl>
        {workload !== undefined && (
          <>
            <dt>Pods</dt>
            <dd>
              {workload.pods}, {workload.proxies} with a sidecar
            </dd>
            <dt>Identity</dt>
            <dd>{workload.identities.join(", ")}</dd>
            <dt>Mutual TLS</dt>
            <dd>
              {mtls ? "always" : workload.proxies === 0 ? "none: no sidecar" : "plaintext is taken as well"}
            </dd>
            <dt>Access</dt>
            <dd>{access}</dd>
          </>
        )}
        {workload?.allows.map(({ by, sources }) => (
          <>
            <dt>{by}</dt>
            <dd>lets in {sources.join(", ") || "nobody"}</dd>
          </>
        ))}
        {service !== undefined && (
          <>
            <dt>Ports</dt>
            <dd>{service.ports.join(", ")}</dd>
          </>
        )}
        {service?.splits.map(({ by, backends }) => (
          <>
            <dt>Split {shortName(by)}</dt>
            <dd>{backends.map(one => `${shortName(one.service)} ${one.weight}`).join(" · ")}</dd>
          </>
        ))}
      </dl>
      <h3>Calls</h3>
      <ul class="plain">
        {calls.map(edge => (
          <li>
            {titleOf(edge)} <span class="quiet">{allFigures(edge)}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

interface Selection {
  readonly selected: string | undefined;
  readonly onSelect: (id: string | undefined) => void;
}

/** What the view of the topology needs. */
export interface TopologyProps {
  readonly graph: Graph;
  readonly dark: boolean;
  /** What the figures are of, in words. */
  readonly window: string;
}

/** The part of a picture whose names or namespaces hold a text. */
function partOf(graph: Graph, text: string): Graph {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return graph;
  const holds = (id: string): boolean => id.toLowerCase().includes(wanted);
  const edges = graph.edges.filter(({ from, to }) => holds(from) || holds(to));
  const ends = new Set(edges.flatMap(({ from, to }) => [from, to]));
  return { nodes: graph.nodes.filter(({ id }) => holds(id) || ends.has(id)), edges };
}

/** The picture, and beside it the calls or what is selected. */
export function Topology({ graph: whole, dark, window }: TopologyProps) {
  const [selected, setSelected] = useState<string>();
  const [wanted, setWanted] = useState("");
  const graph = useMemo(() => partOf(whole, wanted), [whole, wanted]);
  const edge = graph.edges.find(({ id }) => id === selected);
  const node = graph.nodes.find(({ id }) => id === selected);
  const isOpen = edge !== undefined || node !== undefined;
  const back = useRef<HTMLButtonElement>(null);
  const last = useRef<string>(undefined);
  // What has the focus is taken away with its panel: it goes on to the way back, and from there to where it was.
  useEffect(() => {
    if (isOpen) back.current?.focus();
    else if (last.current !== undefined)
      document.querySelector<HTMLElement>(`[data-edge="${CSS.escape(last.current)}"]`)?.focus();
    last.current = selected;
  }, [isOpen, selected]);
  return (
    <div
      class="topology"
      onKeyDown={event => {
        if (event.key === "Escape") setSelected(undefined);
      }}
    >
      <div class="stage">
        <Canvas graph={graph} dark={dark} selected={selected} onSelect={setSelected} />
        <p class="legend">
          <span class="well">well</span>
          <span class="failing">failing</span>
          <span class="refused">refused</span>
          <span class="idle">allowed, no calls</span>
          <span class="plaintext">without mutual TLS</span>
        </p>
      </div>
      <aside aria-label={isOpen ? "Details" : "Calls"}>
        {isOpen ? (
          <>
            <button type="button" class="back" ref={back} onClick={() => setSelected(undefined)}>
              ← All calls
            </button>
            {edge !== undefined && <EdgePanel edge={edge} />}
            {node !== undefined && <NodePanel node={node} graph={graph} />}
          </>
        ) : (
          <>
            <h2>Calls</h2>
            <p class="quiet">{window}</p>
            <input
              type="search"
              class="filter"
              aria-label="Filter"
              placeholder="Filter by name or namespace"
              value={wanted}
              onInput={event => setWanted(event.currentTarget.value)}
            />
            <EdgeList graph={graph} selected={selected} onSelect={setSelected} />
          </>
        )}
      </aside>
    </div>
  );
}
