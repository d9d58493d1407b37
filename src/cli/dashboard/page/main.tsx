import { render } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import type { TopologyPage, TrafficPage } from "../../../runtime/api/pages";
import type { JudgedStatus } from "../../status/judge";
import { graphOf } from "../graph";
import { useAsked } from "./ask";
import { Certificates, Policies, Proxies } from "./tables";
import { Topology } from "./topology";

const VIEWS = ["Topology", "Proxies", "Policies", "Certificates"] as const;
type View = (typeof VIEWS)[number];

const TRAFFIC_MS = 1_000;
const SLOW_MS = 2_000;
const NO_TRAFFIC: TrafficPage = { at: 0, windowMs: 0, asked: 0, silent: [], calls: [], pairs: [] };

function windowWords({ windowMs, asked, silent }: TrafficPage): string {
  if (asked === 0) return "No pod has a sidecar.";
  if (silent.length === asked)
    return "No sidecar serves metrics: annotate namespaces with openservicemesh.io/metrics=enabled and restart their pods.";
  const seconds = Math.round(windowMs / 1000);
  const heard = `${asked - silent.length} of ${asked} sidecars`;
  return windowMs === 0 ? `Counting begins (${heard}).` : `Last ${seconds} s, as ${heard} count.`;
}

/** The colours that are wished for: those of the system until somebody chooses. */
function useDark(): readonly [boolean, () => void] {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const [dark, setDark] = useState(system.matches);
  useEffect(() => {
    const follow = (): void => setDark(system.matches);
    system.addEventListener("change", follow);
    return () => system.removeEventListener("change", follow);
  }, []);
  document.documentElement.dataset["theme"] = dark ? "dark" : "light";
  return [dark, () => setDark(!dark)];
}

function Facts({ status }: { readonly status: JudgedStatus }) {
  const connected = status.proxies.filter(({ replica }) => replica !== undefined).length;
  const { problems } = status;
  return (
    <p class="facts">
      <span>
        <b>{connected}</b>/{status.proxies.length} proxies
      </span>
      <span title={problems.join("\n")} class={problems.length === 0 ? "well" : "failing"}>
        {problems.length === 0 ? "all well" : `${problems.length} problem${problems.length === 1 ? "" : "s"}`}
      </span>
    </p>
  );
}

function App() {
  const [view, setView] = useState<View>("Topology");
  const [dark, turn] = useDark();
  const status = useAsked<JudgedStatus>("status", SLOW_MS);
  const topology = useAsked<TopologyPage>("topology", SLOW_MS);
  const traffic = useAsked<TrafficPage>("traffic", TRAFFIC_MS);
  const graph = useMemo(
    () => topology.value && graphOf(topology.value, traffic.value ?? NO_TRAFFIC),
    [topology.value, traffic.value],
  );
  const error = status.error ?? topology.error ?? traffic.error;
  const judged = status.value;
  return (
    <>
      <header>
        <h1>
          osm <span class="quiet">{judged?.mesh.name === "osm" ? "" : judged?.mesh.name}</span>
        </h1>
        <nav aria-label="Views">
          {VIEWS.map(name => (
            <button
              type="button"
              aria-current={view === name ? "page" : undefined}
              onClick={() => setView(name)}
            >
              {name}
            </button>
          ))}
        </nav>
        {judged !== undefined && <Facts status={judged} />}
        <button
          type="button"
          class="turn"
          aria-label={dark ? "Light colours" : "Dark colours"}
          onClick={turn}
        >
          {dark ? "☀" : "☾"}
        </button>
      </header>
      {error !== undefined && (
        <p class="alarm" role="alert">
          {error}
        </p>
      )}
      {view === "Topology" && graph !== undefined && (
        <Topology graph={graph} dark={dark} window={windowWords(traffic.value ?? NO_TRAFFIC)} />
      )}
      {view === "Proxies" && judged !== undefined && <Proxies status={judged} />}
      {view === "Policies" && judged !== undefined && <Policies status={judged} />}
      {view === "Certificates" && judged !== undefined && <Certificates status={judged} />}
    </>
  );
}

const root = document.getElementById("app");
if (root !== null) render(<App />, root);
