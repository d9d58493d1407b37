import { useEffect, useState } from "preact/hooks";
import type { Decision, Possibility } from "../../../policy/decide";
import type { ExplainPage } from "../../../runtime/api/pages";
import { ask } from "./ask";
import { shareText, shortName } from "./words";

const OUTCOMES: Readonly<Record<Decision["outcome"], string>> = {
  delivered: "Delivered",
  passthrough: "Passes the mesh by",
  refused: "Refused",
  unavailable: "Nobody is ready",
  "no-backend": "No destination",
  malformed: "Malformed path",
  "no-rule": "No rule matches",
  forbidden: "Forbidden",
  "wrong-server": "Wrong server",
};

const objectsOf = ({ by }: Pick<Possibility, "by">): string =>
  [...new Set(by.map(({ kind, namespace, name }) => `${kind} ${namespace}/${name}`))].join(", ");

function Verdict({ decision }: { readonly decision: Decision }) {
  const { allowed, outcome, status, nearest, rule, possible, steps } = decision;
  return (
    <>
      <p class={`verdict ${allowed ? "well" : "refused"}`}>
        <strong>{OUTCOMES[outcome]}</strong>
        {status === undefined ? "" : ` · HTTP ${status}`}
      </p>
      <dl>
        {decision.by.length > 0 && (
          <>
            <dt>Decided by</dt>
            <dd>{objectsOf(decision)}</dd>
          </>
        )}
        {rule !== undefined && (
          <>
            <dt>Rule</dt>
            <dd>{rule}</dd>
          </>
        )}
        {nearest !== undefined && (
          <>
            <dt>Nearest</dt>
            <dd>{nearest.text}</dd>
          </>
        )}
      </dl>
      <ol class="steps">
        {steps.map(step => (
          <li>{step}</li>
        ))}
      </ol>
      {possible.length > 1 && (
        <>
          <h4>All that can happen</h4>
          <ul class="plain">
            {possible.map(({ share, outcome: end, cluster }) => (
              <li>
                {shareText(share)} {OUTCOMES[end].toLowerCase()} ·{" "}
                {shortName(cluster.split("|")[1] ?? cluster)}
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

/** What happens to a request along an edge, and who decides; another method or path may be asked about. */
export function Explain({ from, to }: { readonly from: string; readonly to: string }) {
  const [method, setMethod] = useState("GET");
  const [path, setPath] = useState("/");
  const [found, setFound] = useState<ExplainPage | string>();
  const look = (): void => {
    const query = new URLSearchParams({ from, to, method, path }).toString();
    ask<ExplainPage>("explain", query).then(setFound, (error: unknown) => {
      setFound(error instanceof Error ? error.message : String(error));
    });
  };
  useEffect(look, [from, to]);
  return (
    <section class="explain" aria-live="polite">
      <h3>Explain</h3>
      <p class="quiet">What becomes of this request, and who decides:</p>
      <form
        onSubmit={event => {
          event.preventDefault();
          look();
        }}
      >
        <input
          aria-label="Method"
          class="method"
          value={method}
          onInput={event => setMethod(event.currentTarget.value)}
        />
        <input aria-label="Path" value={path} onInput={event => setPath(event.currentTarget.value)} />
        <button type="submit">Ask</button>
      </form>
      {typeof found === "string" && <p class="bad">{found}</p>}
      {typeof found === "object" && <Verdict decision={found.decision} />}
    </section>
  );
}
