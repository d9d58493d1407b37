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

function kubeSources(): string {
  return path.join(repositoryRoot(), "hack", "kube");
}

function kubeFolder(): string {
  const hash = createHash("sha256");
  for (const file of ["main.go", "go.mod", "go.sum"])
    hash.update(readFileSync(path.join(kubeSources(), file)));
  return path.join(binFolder(), `kube-${VERSIONS.kubernetes}-${hash.digest("hex").slice(0, 12)}`);
}

async function buildKube(folder: string, note: (line: string) => void): Promise<void> {
  const version = "k8s.io/component-base/version";
  const [major, minor] = VERSIONS.kubernetes.slice(1).split(".");
  const stamp = [`gitVersion=${VERSIONS.kubernetes}`, `gitMajor=${major}`, `gitMinor=${minor}`];
  const flags = ["-s", "-w", ...stamp.map(field => `-X ${version}.${field}`)].join(" ");
  const unfinished = `${folder}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  try {
    const args = ["build", "-trimpath", "-v", "-ldflags", flags, "-o", path.join(unfinished, "kube"), "."];
    await capture("go", args, { cwd: kubeSources(), env: { CGO_ENABLED: "0" }, onLine: note });
    for (const name of COMPONENTS) symlinkSync("kube", path.join(unfinished, name));
    rmSync(folder, { recursive: true, force: true });
    renameSync(unfinished, folder);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}

/**
 * Folder with kube-apiserver, kubelet, kubectl and so on, built from `hack/kube` on first use (about five minutes on two
 * cores) and kept in the cache under a name that holds version and source hash.
 */
export async function ensureKube(progress: Progress): Promise<string> {
  const folder = kubeFolder();
  if (existsSync(path.join(folder, "kubectl"))) return folder;
  const title = `building Kubernetes ${VERSIONS.kubernetes} from its Go modules`;
  await progress.step(title, note => buildKube(folder, note));
  return folder;
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

/** Path of CoreDNS, built on first use. */
export function ensureCoredns(progress: Progress): Promise<string> {
  return goInstall(progress, "github.com/coredns/coredns", VERSIONS.coredns);
}

/** Path of a kubectl: the one on PATH, otherwise the one of `hack/kube`. */
export async function kubectlPath(progress: Progress): Promise<string> {
  return (await onPath("kubectl")) ?? path.join(await ensureKube(progress), "kubectl");
}

/** Path of helm 3: the one on PATH, otherwise built from its Go module on first use. */
export async function helmPath(progress: Progress): Promise<string> {
  return (await onPath("helm")) ?? goInstall(progress, "helm.sh/helm/v3/cmd/helm", VERSIONS.helm);
}
