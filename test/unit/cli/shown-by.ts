/**
 * Which test shows a command and each of its options: `file: part of a title` below test/, or `reason: why there is none`. The empty
 * option is the command itself. `commands.test.ts` holds it against the command's own tree.
 */
type Options = Readonly<Record<string, string>>;

const INSTALL = "api/cli-install.test.ts: installs as the printed commands of Open Service Mesh ask it to";
const WHOLE = "cluster/osm-install.test.ts: ";
const INSTALLS = `${WHOLE}installs as a printed command of Open Service Mesh asks it to, with add-ons`;
const REFUSES = "api/cli-install.test.ts: refuses what makes no sense before it changes anything";
const UPGRADE = "api/cli-install.test.ts: upgrades the one there is with what it was installed with";
const UNINSTALL = "api/cli-install.test.ts: uninstalls when told to, webhooks before what answers them";
const LISTS = "api/cli-namespaces.test.ts: lists meshes, also Open Service Mesh's own, with their namespaces";
const KEEPS_OUT = "api/cli-namespaces.test.ts: keeps out what does not belong into the mesh";
const SWITCHES = "api/cli-namespaces.test.ts: switches metrics, lists, and takes namespaces out";
const REPORTS = "api/cli-namespaces.test.ts: reports whole namespaces, or all of the mesh";
const ROTATE = "api/cli-rotate.test.ts: makes the root of a file trusted, then issuing";
const WAITS = "api/cli-wait.test.ts: waits until an object is in force";
const WAITS_FILE = "api/cli-wait.test.ts: waits for the objects of a file";
const GIVES_UP =
  "api/cli-wait.test.ts: gives up in time, at once where it is of no use, and waits for deletions";
const PLANS = "api/cli-wait.test.ts: explains and plans what the cluster has";
const OFFLINE = "unit/cli/questions.test.ts: plans without a cluster";
const NEAREST = "unit/cli/questions.test.ts: names what came nearest where none does";
const FAULTS = "unit/cli/questions.test.ts: says in one line what is wrong with the question";
const MAY_SEND = "unit/cli/questions.test.ts: says what one pod may send to another";
const CONFLICTS = "unit/cli/questions.test.ts: finds IngressBackends that name the same backend";
const LIVE = "cluster/cli.test.ts: ";
const ADMIN = `${LIVE}asks a sidecar's Envoy, which no port leads to`;
const SEES = `${LIVE}shows every proxy of the namespace by name`;
const CONNECTS = `${LIVE}verifies the control plane and a connection`;
const OUTSIDE = `${LIVE}verifies that a host outside may be called`;
const INGRESS = `${LIVE}verifies that an IngressBackend lets callers in`;
const GRAFANA = `${LIVE}opens Grafana by a port of this machine`;
const DENIED = `${LIVE}lists the mesh with its version, and tells who was refused`;
const REPORT = `${LIVE}gathers a report without secrets`;
const MACHINE = "cluster/external-proxy.test.ts: joins by osm proxy bootstrap";
const CERTIFICATE = "api/external-proxy.test.ts: writes what the options say";

/** By command, then by the long name of an option. */
export const SHOWN_BY: Readonly<Record<string, Options>> = {
  osm: {
    "": "unit/cli/program.test.ts: says what went wrong in one line",
    "--version": "unit/cli/program.test.ts: says its version, and with --verbose which request failed",
    "--verbose": "unit/cli/program.test.ts: says its version, and with --verbose which request failed",
    "--kubeconfig": "unit/cli/program.test.ts: says its version, and with --verbose which request failed",
    "--osm-namespace": "unit/cli/program.test.ts: takes its namespace from the option",
    "--mesh-name": LISTS,
    "--context": "api/cli-namespaces.test.ts: says in one line what the API server refuses",
    "--output": "unit/cli/completion.test.ts: knows options, those of every command too",
  },
  "osm alpha certificate rotate": {
    "": "cluster/cli-rotate.test.ts: makes a CA of the owner's the mesh's by the command",
    "--file": ROTATE,
    "--mesh-root-certificate":
      "cluster/cli-rotate.test.ts: makes a CA of the owner's the mesh's by the command",
    "--trust-domain": ROTATE,
    "--yes": ROTATE,
    "--delete": ROTATE,
    "--wait": ROTATE,
  },
  "osm completion": { "": "api/cli-shells.test.ts: completes commands, options and names of the cluster" },
  "osm dashboard": {
    "": "cluster/dashboard.test.ts: shows the bookstore as it runs",
    "--local-port": GRAFANA,
    "--remote-port": GRAFANA,
    "--no-open-browser": "cluster/dashboard.test.ts: shows the bookstore as it runs",
    "--grafana": GRAFANA,
  },
  "osm env": { "": "unit/cli/program.test.ts: takes its namespace from the option" },
  "osm explain": {
    "": "cluster/quick-start.test.ts: and the cluster agrees",
    "--from": NEAREST,
    "--to": NEAREST,
    "--address": "unit/cli/questions.test.ts: finds headless Services, and hosts outside",
    "--method": NEAREST,
    "--path": NEAREST,
    "--header": FAULTS,
    "--filename": "unit/cli/questions.test.ts: tells people all of it",
    "--namespace": "unit/cli/questions.test.ts: tells people all of it",
  },
  "osm install": {
    "": INSTALLS,
    "--osm-chart-path": REFUSES,
    "--set": INSTALLS,
    "--timeout": REFUSES,
    "--namespace": INSTALLS,
    "--enforce-single-mesh": INSTALL,
    "--atomic": "api/cli-install.test.ts: with --atomic leaves nothing of what failed",
    "--enable-permissive-traffic-policy": INSTALL,
    "--enable-egress": INSTALL,
    "--enable-debug-server": INSTALL,
    "--enable-prometheus": INSTALLS,
    "--deploy-prometheus": INSTALL,
    "--enable-grafana": INSTALLS,
    "--deploy-grafana": INSTALL,
    "--deploy-jaeger": INSTALLS,
  },
  "osm uninstall mesh": {
    "": `${WHOLE}uninstalls, and nothing is left; a pod that keeps its sidecar goes on`,
    "--force": UNINSTALL,
    "--delete-cluster-wide-resources": UNINSTALL,
    "--delete-namespace": "api/cli-install.test.ts: uninstalls nothing where Open Service Mesh alone runs",
    "--timeout": UNINSTALL,
    "--local-port": UNINSTALL,
    "--ca-bundle-secret-name": UNINSTALL,
  },
  "osm logs": { "": DENIED, "--denied": DENIED, "--namespace": DENIED, "--since": DENIED },
  "osm mesh list": { "": LISTS },
  "osm mesh upgrade": {
    "": `${WHOLE}upgrades to another release and back with what was set, and no request fails`,
    "--osm-chart-path": UPGRADE,
    "--set": UPGRADE,
    "--timeout": UPGRADE,
  },
  "osm metrics enable": { "": SWITCHES, "--namespace": SWITCHES },
  "osm metrics disable": { "": SWITCHES, "--namespace": SWITCHES },
  "osm migrate check": {
    "": "unit/cli/questions.test.ts: says of each object of OSM what becomes of it",
    "--filename": "unit/cli/questions.test.ts: says of each object of OSM what becomes of it",
  },
  "osm namespace add": {
    "": `${WHOLE}meshes a namespace whose pods then talk`,
    "--enable-sidecar-injection": "api/cli-namespaces.test.ts: says what pods must be made anew",
    "--disable-sidecar-injection": SWITCHES,
  },
  "osm namespace remove": { "": SWITCHES },
  "osm namespace ignore": { "": KEEPS_OUT },
  "osm namespace list": { "": SWITCHES },
  "osm plan": {
    "": "cluster/cli-plan.test.ts: names exactly what then changes at each sidecar",
    "--filename": PLANS,
    "--delete": OFFLINE,
    "--base": OFFLINE,
    "--namespace": PLANS,
  },
  "osm policy check-pods": { "": MAY_SEND, "--filename": MAY_SEND },
  "osm policy check-conflicts": { "": CONFLICTS, "--namespaces": CONFLICTS, "--filename": CONFLICTS },
  "osm proxy get": { "": ADMIN, "--namespace": ADMIN, "--file": ADMIN, "--local-port": ADMIN },
  "osm proxy set": { "": ADMIN, "--namespace": ADMIN, "--file": ADMIN, "--local-port": ADMIN },
  "osm proxy bootstrap": {
    "": MACHINE,
    "--ads": MACHINE,
    "--folder": MACHINE,
    "--at": CERTIFICATE,
    "--inbound-exclude": CERTIFICATE,
    "--outbound-ranges": CERTIFICATE,
    "--ipv6": CERTIFICATE,
    "--replace-key": CERTIFICATE,
  },
  "osm proxy renew": {
    "": "cluster/external-proxy.test.ts: renews its certificate by reading alone",
    "--folder": "unit/cli/program.test.ts: says what went wrong in one line",
  },
  "osm status": { "": SEES, "--namespace": SEES, "--problems": SEES, "--check": SEES },
  "osm support bug-report": {
    "": REPORT,
    "--all": REPORTS,
    "--app-namespaces": REPORTS,
    "--app-deployments": REPORT,
    "--app-pods": REPORT,
    "--ingress": REPORT,
  },
  "osm support error-info": { "": "unit/cli/support.test.ts: explains reasons, and OSM's codes" },
  "osm verify control-plane-health": { "": CONNECTS },
  "osm verify connectivity": {
    "": CONNECTS,
    "--from-pod": CONNECTS,
    "--to-pod": CONNECTS,
    "--to-service": CONNECTS,
    "--app-protocol": OUTSIDE,
    "--to-ext-host": OUTSIDE,
    "--to-ext-port": OUTSIDE,
  },
  "osm verify ingress": {
    "": INGRESS,
    "--to-pod": INGRESS,
    "--ingress-backend": INGRESS,
    "--to-service": INGRESS,
    "--to-port": INGRESS,
    "--from-service": INGRESS,
    "--app-protocol": INGRESS,
  },
  "osm version": { "": LISTS, "--client-only": LISTS, "--version-only": LISTS },
  "osm wait": {
    "": WAITS,
    "--filename": WAITS_FILE,
    "--for": GIVES_UP,
    "--timeout": WAITS,
    "--namespace": WAITS_FILE,
  },
};
