import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync } from "node:fs";
import path from "node:path";
import { capture, onPath } from "./shell";
import { cacheFolder, repositoryRoot, VERSIONS } from "./settings";
import type { Progress } from "./progress";

/** The components inside the one Kubernetes program; each is a symbolic link to it. */
const COMPONENTS = [
  "kube-apiserver",
  "kube-controller-manager",
  "kube-scheduler",
  "kube-proxy",
  "kubelet",
  "kubectl",
] as const;

function binFolder(): string {
  const folder = path.join(cacheFolder(), "bin");
  mkdirSync(folder, { recursive: true });
  return folder;
}

/** One of the Go programs whose main.go, go.mod and go.sum are in this repository. */
interface GoProgram {
  readonly name: string;
  readonly version: string;
  /** Folder below the repository root. */
  readonly sources: string;
  readonly ldflags: readonly string[];
}

function kubeProgram(): GoProgram {
  const version = VERSIONS.kubernetes;
  const [major, minor] = version.slice(1).split(".");
  const stamp = [`gitVersion=${version}`, `gitMajor=${major}`, `gitMinor=${minor}`];
  const ldflags = stamp.map(field => `-X k8s.io/component-base/version.${field}`);
  return { name: "kube", version, sources: "hack/kube", ldflags };
}

/** Path of a program in the cache, under a name that holds its version and the hash of its sources; built on first use. */
async function goBuild(progress: Progress, program: GoProgram): Promise<string> {
  const sources = path.join(repositoryRoot(), program.sources);
  const hash = createHash("sha256");
  for (const file of ["main.go", "go.mod", "go.sum"]) hash.update(readFileSync(path.join(sources, file)));
  const name = `${program.name}-${program.version}-${hash.digest("hex").slice(0, 12)}`;
  const target = path.join(binFolder(), name, program.name);
  if (existsSync(target)) return target;
  await progress.step(`building ${program.name} ${program.version} from Go modules`, async note => {
    const unfinished = path.join(binFolder(), `${name}.${process.pid}`);
    try {
      const flags = ["-s", "-w", ...program.ldflags].join(" ");
      const args = [
        "build",
        "-trimpath",
        "-v",
        "-ldflags",
        flags,
        "-o",
        path.join(unfinished, program.name),
        ".",
      ];
      await capture("go", args, { cwd: sources, env: { CGO_ENABLED: "0" }, onLine: note });
      rmSync(path.dirname(target), { recursive: true, force: true });
      renameSync(unfinished, path.dirname(target));
    } finally {
      rmSync(unfinished, { recursive: true, force: true });
    }
  });
  return target;
}

/**
 * Folder with kube-apiserver, kubelet, kubectl and so on, all of them links to the one program of `hack/kube`. Building
 * it takes about five minutes on two cores, once.
 */
export async function ensureKube(progress: Progress): Promise<string> {
  const program = await goBuild(progress, kubeProgram());
  const folder = path.dirname(program);
  for (const name of COMPONENTS) {
    const link = path.join(folder, name);
    if (!existsSync(link)) symlinkSync(path.basename(program), link);
  }
  return folder;
}

/** Path of CoreDNS, a static binary, built on first use. */
export function ensureCoredns(progress: Progress): Promise<string> {
  const sources = "hack/images/coredns";
  return goBuild(progress, { name: "coredns", version: VERSIONS.coredns, sources, ldflags: [] });
}

/** Path of cert-manager's controller, built on first use: four minutes on two idle cores, for the long tests only. */
export function ensureCertManager(progress: Progress): Promise<string> {
  const sources = "hack/cert-manager";
  return goBuild(progress, { name: "cert-manager", version: VERSIONS.certManager, sources, ldflags: [] });
}

/** Path of a Vault with one engine, PKI, built on first use: some minutes, for the long tests only. */
export function ensureVault(progress: Progress): Promise<string> {
  return goBuild(progress, { name: "vault", version: VERSIONS.vault, sources: "hack/vault", ldflags: [] });
}

/** Path of an OpenTelemetry Collector of few components, built on first use: some minutes, for the long tests only. */
export function ensureCollector(progress: Progress): Promise<string> {
  const sources = "hack/otel-collector";
  return goBuild(progress, { name: "otel-collector", version: VERSIONS.collector, sources, ldflags: [] });
}

/** Folder with cert-manager's custom resource definitions, out of the module that the controller is built from. */
export async function certManagerDefinitions(): Promise<string> {
  const cwd = path.join(repositoryRoot(), "hack/cert-manager");
  const module = "github.com/cert-manager/cert-manager";
  const { Dir } = JSON.parse(await capture("go", ["mod", "download", "-json", module], { cwd })) as {
    readonly Dir: string;
  };
  return path.join(Dir, "deploy/crds");
}

/** Installs one Go program into the cache and gives its path; a second call finds it there. */
async function goInstall(progress: Progress, module: string, version: string): Promise<string> {
  const name = path.basename(module);
  const target = path.join(binFolder(), `${name}-${version}`);
  if (existsSync(target)) return target;
  const folder = `${target}.${process.pid}`;
  await progress.step(`building ${name} ${version} from its Go module`, async note => {
    try {
      const env = { CGO_ENABLED: "0", GOBIN: folder, GOFLAGS: "-buildvcs=false -trimpath" };
      await capture("go", ["install", "-v", "-ldflags", "-s -w", `${module}@${version}`], {
        env,
        onLine: note,
      });
      renameSync(path.join(folder, name), target);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
  return target;
}

/** Path of a kubectl: the one on PATH, otherwise the one of `hack/kube`. */
export async function kubectlPath(progress: Progress): Promise<string> {
  return (await onPath("kubectl")) ?? path.join(await ensureKube(progress), "kubectl");
}

/** Path of crane, which can serve an image registry; built on first use, for the long tests only. */
export function cranePath(progress: Progress): Promise<string> {
  return goInstall(progress, "github.com/google/go-containerregistry/cmd/crane", VERSIONS.crane);
}

/** Path of helm 3: the one on PATH, otherwise built from its Go module on first use. */
export async function helmPath(progress: Progress): Promise<string> {
  return (await onPath("helm")) ?? goInstall(progress, "helm.sh/helm/v3/cmd/helm", VERSIONS.helm);
}
