import type { Command } from "commander";
import { LABEL_IGNORE, LABEL_MONITORED_BY, PEPR_NAMESPACE } from "../../model/mesh-words";
import { ADMISSION_PODS, MODULE, WATCHER } from "../../install/names";
import type { KubeObject } from "../../runtime/kube";
import { getIfThere } from "../../runtime/kube/read";
import { readText } from "../api-text";
import type { CliContext } from "../context";
import { EXIT, failureWords } from "../failure";
import { podPagePath } from "../mesh-found";
import { hasSidecar, readNamespace } from "../namespaces";
import { isReady, placeOf, podsOf, readPod } from "../pods";
import { askSidecar } from "../stream/sidecar-admin";
import { letOut, outsideOf } from "../outside";

/** One thing that was looked at. */
interface Check {
  readonly what: string;
  readonly ok: boolean;
  /** Why not, or what was found. */
  readonly why?: string;
}

function report(context: CliContext, subject: string, checks: readonly Check[]): void {
  const failed = checks.filter(({ ok }) => !ok);
  const status = failed.length === 0 ? "Success" : "Failure";
  context.out.show({ context: subject, status, checks }, () => {
    const lines = checks.map(
      ({ what, ok, why }) => `  [${ok ? "+" : "-"}] ${what}${why === undefined ? "" : `: ${why}`}`,
    );
    return [`Context: ${subject}`, ...lines, `Status: ${status}`].join("\n");
  });
  if (failed.length > 0) context.exitWith(EXIT.failed);
}

/** Does something that may fail, and makes a check of it: what it gives is in the way. */
function checked(what: string, look: () => Promise<string | undefined>): Promise<Check> {
  return found(what, async () => {
    const why = await look();
    return why === undefined ? { ok: true } : { ok: false, why };
  });
}

/** Does something that may fail, and makes a check of it with what it found. */
async function found(what: string, look: () => Promise<Omit<Check, "what">>): Promise<Check> {
  try {
    return { what, ...(await look()) };
  } catch (error) {
    return { what, ok: false, why: failureWords(error, false) };
  }
}

async function controlPlaneChecks(context: CliContext): Promise<readonly Check[]> {
  const kube = await context.kube();
  const checks: Check[] = [];
  for (const app of [MODULE, WATCHER]) {
    const pods = await podsOf(kube, PEPR_NAMESPACE, `app=${app}`);
    if (pods.length === 0) checks.push({ what: `pods of ${app}`, ok: false, why: "there are none" });
    for (const { metadata } of pods) {
      for (const page of ["/health/alive", "/health/ready"]) {
        const path = podPagePath(PEPR_NAMESPACE, metadata.name, page);
        checks.push(
          await checked(`${metadata.name} ${page}`, async () => {
            await readText(context.credentials(), path);
            return undefined;
          }),
        );
      }
    }
  }
  for (const kind of ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"]) {
    const path = `/apis/admissionregistration.k8s.io/v1/${kind}/${MODULE}`;
    checks.push(
      await checked(`${kind} ${MODULE}`, async () => {
        const { webhooks = [] } = await kube.get<KubeObject & { webhooks?: unknown[] }>(path);
        return webhooks.length === 0 ? "it is empty" : undefined;
      }),
    );
  }
  return checks;
}

async function namespaceCheck(context: CliContext, name: string): Promise<Check> {
  return checked(`namespace ${name} is in the mesh`, async () => {
    const { metadata } = await readNamespace(await context.kube(), name);
    const mesh = metadata.labels?.[LABEL_MONITORED_BY];
    if (metadata.labels !== undefined && LABEL_IGNORE in metadata.labels)
      return `its label ${LABEL_IGNORE} keeps it out`;
    if (mesh === undefined) return `osm namespace add ${name}`;
    return mesh === context.meshName ? undefined : `it is in mesh ${mesh}`;
  });
}

interface Place {
  readonly namespace: string;
  readonly name: string;
}

async function podChecks(context: CliContext, { namespace, name }: Place): Promise<readonly Check[]> {
  const kube = await context.kube();
  const place = `${namespace}/${name}`;
  const injected = await checked(`pod ${place} has a sidecar`, async () => {
    const pod = await readPod(kube, namespace, name);
    if (!hasSidecar(pod)) return "it has none; osm explain says why";
    return isReady(pod) ? undefined : "the pod is not ready";
  });
  if (!injected.ok) return [injected];
  const connected = await checked(`sidecar of ${place} is connected to the control plane`, async () => {
    const text = await askSidecar(
      context.credentials(),
      { namespace, pod: name },
      { method: "GET", page: "stats?filter=^control_plane.connected_state$" },
    );
    return text.trim().endsWith(": 1") ? undefined : "it is not";
  });
  return [injected, connected];
}

/** What the sidecar of a caller knows of a Service, and of an endpoint of it. */
async function reachChecks(
  context: CliContext,
  { namespace, name }: Place,
  service: Place,
  to: Place | undefined,
): Promise<readonly Check[]> {
  const ask = (page: string): Promise<string> =>
    askSidecar(context.credentials(), { namespace, pod: name }, { method: "GET", page });
  const prefix = `${service.namespace}/${service.name}|`;
  const listens = await checked(
    `sidecar of ${namespace}/${name} knows service ${service.namespace}/${service.name}`,
    async () =>
      (await ask("listeners")).includes(`outbound|${prefix}`)
        ? undefined
        : "no listener for it: it has no pod with a sidecar, or the caller may not reach it",
  );
  if (!listens.ok || to === undefined) return [listens];
  const endpoint = await checked(`and pod ${to.namespace}/${to.name} as its endpoint`, async () => {
    const { status } = await readPod(await context.kube(), to.namespace, to.name);
    const ip = status?.podIP ?? "";
    const clusters = (await ask("clusters")).split("\n");
    return clusters.some(line => line.includes(prefix) && line.includes(`::${ip}:`))
      ? undefined
      : `${ip} is none`;
  });
  return [listens, endpoint];
}

interface ConnectivityOptions {
  readonly fromPod: string;
  readonly toPod?: string;
  readonly toService?: string;
  readonly toExtHost?: string;
  readonly toExtPort?: string;
  readonly appProtocol?: string;
}

/** Who calls whom, as the options say it. */
interface Way {
  readonly from: Place;
  readonly to: Place | undefined;
  readonly service: Place | undefined;
}

function wayOf(context: CliContext, { fromPod, toPod, toService }: ConnectivityOptions): Way {
  const from = placeOf(fromPod, context.namespace, "from-pod");
  const to = toPod === undefined ? undefined : placeOf(toPod, context.namespace, "to-pod");
  const near = to?.namespace ?? from.namespace;
  return { from, to, service: toService === undefined ? undefined : placeOf(toService, near, "to-service") };
}

async function waysOn(
  context: CliContext,
  { from, to, service }: Way,
  outside: string | undefined,
): Promise<readonly Check[]> {
  if (service !== undefined) return reachChecks(context, from, service, to);
  if (outside === undefined) return [];
  return [
    await found(`the mesh lets ${from.namespace}/${from.name} out to ${outside}`, () =>
      letOut(context, from, outside),
    ),
  ];
}

async function connectivity(context: CliContext, options: ConnectivityOptions): Promise<void> {
  const way = wayOf(context, options);
  const { from, to, service } = way;
  const outside = outsideOf(options);
  const ends = to === undefined ? [from] : [from, to];
  const checks: Check[] = [];
  for (const name of new Set(ends.map(({ namespace }) => namespace)))
    checks.push(await namespaceCheck(context, name));
  for (const end of ends) checks.push(...(await podChecks(context, end)));
  if (checks.every(({ ok }) => ok)) checks.push(...(await waysOn(context, way, outside)));
  const target = [to, service].flatMap(one => (one === undefined ? [] : [`${one.namespace}/${one.name}`]));
  const where = target.join(" behind service ") || (outside ?? "the mesh");
  report(context, `pod ${from.namespace}/${from.name} to ${where}`, checks);
  if (service === undefined || context.out.format !== "table") return;
  const question = `osm explain --from ${from.name}.${from.namespace} --to ${service.name}.${service.namespace}`;
  context.say(`Whether a request is allowed, and by which rule: ${question}`);
}

interface IngressOptions {
  readonly toService?: string;
  readonly toPod: string;
  readonly toPort?: string;
  readonly ingressBackend: string;
}

async function ingress(context: CliContext, options: IngressOptions): Promise<void> {
  const to = placeOf(options.toPod, context.namespace, "to-pod");
  const backend = placeOf(options.ingressBackend, to.namespace, "ingress-backend");
  const kube = await context.kube();
  const path = `/apis/policy.openservicemesh.io/v1alpha1/namespaces/${backend.namespace}/ingressbackends/${backend.name}`;
  const named = await checked(
    `IngressBackend ${backend.namespace}/${backend.name} names it and is in force`,
    async () => {
      const found = await getIfThere<IngressBackend>(kube, path);
      return found === undefined ? "there is none" : backendFault(found, options);
    },
  );
  const checks = [await namespaceCheck(context, to.namespace), ...(await podChecks(context, to)), named];
  report(context, `ingress to pod ${to.namespace}/${to.name}`, checks);
}

interface IngressBackend extends KubeObject {
  readonly spec: {
    readonly backends: readonly { readonly name: string; readonly port: { readonly number: number } }[];
  };
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly message?: string;
    }[];
  };
}

function backendFault(
  { spec, status }: IngressBackend,
  { toService, toPort }: IngressOptions,
): string | undefined {
  const fits = spec.backends.some(
    ({ name, port }) =>
      (toService === undefined || name === (toService.split("/").at(-1) ?? "")) &&
      (toPort === undefined || String(port.number) === toPort),
  );
  if (!fits)
    return `spec.backends holds no ${toService ?? "service"}${toPort === undefined ? "" : ` with port ${toPort}`}`;
  const bad = status?.conditions?.find(
    ({ type, status: is }) => ["Accepted", "Programmed"].includes(type) && is !== "True",
  );
  return bad === undefined ? undefined : `${bad.type} is ${bad.status}: ${bad.message ?? ""}`;
}

/** `osm verify …`. */
export function addVerifyCommands(program: Command, context: CliContext): void {
  const group = program.command("verify").description("look whether parts of the mesh work");
  group
    .command("control-plane-health")
    .description(
      `ask every pod of the control plane whether it is alive and ready (${Object.values(ADMISSION_PODS)[0] ?? ""})`,
    )
    .action(async () => {
      report(context, "control plane", await controlPlaneChecks(context));
    });
  group
    .command("connectivity")
    .description(
      "look whether a pod is able to reach another over the mesh, or may leave it for a host outside",
    )
    .requiredOption("--from-pod <namespace/pod>", "the caller")
    .option("--to-pod <namespace/pod>", "the pod that is called")
    .option("--to-service <service>", "the Service it is called by")
    .option(
      "--app-protocol <protocol>",
      "of what is outside: http, https, tcp or grpc (default: http, at 443 https); in the mesh the Service's port says it",
    )
    .option("--to-ext-host <host>", "a host outside of the mesh")
    .option("--to-ext-port <port>", "its port")
    .action((options: ConnectivityOptions) => connectivity(context, options));
  group
    .command("ingress")
    .description("look whether a pod can be reached by way of an IngressBackend")
    .requiredOption("--to-pod <namespace/pod>", "the pod that is called")
    .requiredOption("--ingress-backend <name>", "the IngressBackend")
    .option("--to-service <service>", "its Service")
    .option("--to-port <port>", "its port")
    .option("--from-service <namespace/service>", "accepted: the IngressBackend names the sources")
    .option("--app-protocol <protocol>", "accepted: the IngressBackend says it")
    .action((options: IngressOptions) => ingress(context, options));
}
