import type { ComponentChildren } from "preact";
import type { ObjectLine } from "../../../runtime/api/pages";
import { spanText, type JudgedProxy, type JudgedStatus } from "../../status/judge";

const shortImage = (text: string): string => text.replace(/\S*\/(\S+)/g, "$1");

function Sheet({
  head,
  children,
}: {
  readonly head: readonly string[];
  readonly children: ComponentChildren;
}) {
  return (
    <div class="sheet">
      <table>
        <thead>
          <tr>
            {head.map(text => (
              <th scope="col">{text}</th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

function ProxyRow({ line, at }: { readonly line: JudgedProxy; readonly at: number }) {
  const { pod, workload, node = "", envoy = "", replica, lateSince, renewAt, problems } = line;
  const [namespace = "", name = ""] = pod.split("/");
  const config = replica === undefined ? "not connected" : lateSince === undefined ? "current" : "on its way";
  return (
    <tr class={problems.length > 0 ? "bad" : ""}>
      <th scope="row">
        {name} <span class="quiet">{namespace}</span>
      </th>
      <td>{workload}</td>
      <td>{node}</td>
      <td class="number">{envoy}</td>
      <td>{config}</td>
      <td>
        {renewAt === undefined
          ? "none"
          : renewAt < at
            ? "being renewed"
            : `renews in ${spanText(renewAt - at)}`}
      </td>
      <td>{problems.map(shortImage).join("; ")}</td>
    </tr>
  );
}

/** Every proxy, those with problems first. */
export function Proxies({ status }: { readonly status: JudgedStatus }) {
  const { proxies, at, replicas, uninjected } = status;
  const sorted = [...proxies].sort((a, b) => b.problems.length - a.problems.length);
  return (
    <main class="page">
      <h2>Control plane</h2>
      <Sheet head={["Pod", "Ready", "Version", "Proxies"]}>
        {replicas.map(({ name, ready, version = "", proxies: count, known }) => (
          <tr class={ready ? "" : "bad"}>
            <th scope="row">{name}</th>
            <td>{ready ? "yes" : "no"}</td>
            <td>{version}</td>
            <td class="number">{known ? count : "not known"}</td>
          </tr>
        ))}
      </Sheet>
      <h2>Proxies</h2>
      <Sheet head={["Pod", "Workload", "Node", "Envoy", "Configuration", "Certificate", "Problem"]}>
        {sorted.map(line => (
          <ProxyRow key={line.pod} line={line} at={at} />
        ))}
      </Sheet>
      {uninjected.length > 0 && (
        <>
          <h2>Without a sidecar</h2>
          <Sheet head={["Pod", "Workload", "Why"]}>
            {uninjected.map(({ pod, workload, why, meant }) => (
              <tr class={meant ? "" : "bad"}>
                <th scope="row">{pod}</th>
                <td>{workload}</td>
                <td>{why}</td>
              </tr>
            ))}
          </Sheet>
        </>
      )}
    </main>
  );
}

function inForce({ affected, programmed }: ObjectLine): string {
  if (affected === undefined) return "";
  return affected === 0 ? "affects no proxy" : `${programmed ?? 0} of ${affected} proxies`;
}

/** Every object of policy, and what there is to say about it. */
export function Policies({ status }: { readonly status: JudgedStatus }) {
  const { objects, refused } = status;
  return (
    <main class="page">
      <h2>Policies</h2>
      <Sheet head={["Object", "Kind", "In force", "Findings"]}>
        {objects.map(line => {
          const { kind, object, refusal, findings } = line;
          const isBad = refusal !== undefined || findings.some(({ severity }) => severity === "error");
          const behind = (line.programmed ?? 0) < (line.affected ?? 0);
          return (
            <tr key={`${kind} ${object}`} class={isBad ? "bad" : behind ? "late" : ""}>
              <th scope="row">{object}</th>
              <td>{kind}</td>
              <td>{inForce(line)}</td>
              <td>
                {[
                  ...(refusal === undefined ? [] : [refusal]),
                  ...findings.map(({ message }) => message),
                ].join(" ")}
              </td>
            </tr>
          );
        })}
      </Sheet>
      {refused.length > 0 && (
        <>
          <h2>Refused by proxies</h2>
          <Sheet head={["Resource", "Proxies", "From", "Envoy says"]}>
            {refused.map(({ resource, count, objects: from, message }) => (
              <tr class="bad">
                <th scope="row">{resource}</th>
                <td class="number">{count}</td>
                <td>{from.join(", ")}</td>
                <td>{message}</td>
              </tr>
            ))}
          </Sheet>
        </>
      )}
    </main>
  );
}

/** Roots, a rotation's progress, and when workload certificates are renewed. */
export function Certificates({ status }: { readonly status: JudgedStatus }) {
  const { roots, at, proxies } = status;
  const due = proxies.filter(({ renewAt }) => renewAt !== undefined);
  const next = Math.min(...due.map(({ renewAt = Infinity }) => renewAt));
  const move = roots?.next;
  return (
    <main class="page">
      <h2>Roots of the workloads</h2>
      <Sheet head={["Root", "Fingerprint", "Use", "Left", "Trust domain"]}>
        {roots?.roots.map(({ name, fingerprint, issuing, notAfter, trustDomain }) => (
          <tr>
            <th scope="row">{name}</th>
            <td class="number">{fingerprint}</td>
            <td>{issuing ? "issues certificates" : "trusted"}</td>
            <td>{spanText(notAfter - at)}</td>
            <td>{trustDomain ?? status.mesh.trustDomain}</td>
          </tr>
        ))}
      </Sheet>
      {move !== undefined && (
        <>
          <h2>
            Rotation: {move.kind} {move.root}
          </h2>
          <progress value={move.ready ?? 0} max={Math.max(1, move.proxies ?? 1)} />
          <p>{roots?.text}</p>
        </>
      )}
      {Object.entries(roots?.errors ?? {}).map(([name, error]) => (
        <p class="bad">
          {name}: {error}
        </p>
      ))}
      <h2>Workload certificates</h2>
      <p>
        {due.length} of {proxies.length} proxies hold one
        {due.length > 0 && Number.isFinite(next) ? `; the next is renewed in ${spanText(next - at)}` : ""}.
      </p>
    </main>
  );
}
