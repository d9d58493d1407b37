import { existsSync } from "node:fs";
import { capture, onPath, run } from "./shell";
import type { Progress } from "./progress";

/** Debian packages of the embedded cluster and of the image build, each with the program or file that shows it is there. */
const PACKAGES: Readonly<Record<string, string>> = {
  "etcd-server": "/usr/bin/etcd",
  containerd: "/usr/bin/containerd",
  runc: "/usr/sbin/runc",
  "containernetworking-plugins": "/usr/lib/cni/ptp",
  iptables: "/usr/sbin/iptables",
  iproute2: "/usr/sbin/ip",
  conntrack: "/usr/sbin/conntrack",
  ipset: "/usr/sbin/ipset",
  socat: "/usr/bin/socat",
  openssl: "/usr/bin/openssl",
  buildah: "/usr/bin/buildah",
  debootstrap: "/usr/sbin/debootstrap",
  procps: "/sbin/sysctl",
  "python3-pip": "pip3",
  tcpdump: "tcpdump",
  "ca-certificates": "/etc/ssl/certs/ca-certificates.crt",
};

/** Oldest Go that can fetch the toolchain hack/kube asks for by itself. */
const OLDEST_GO = 21;

/** What the embedded cluster needs, in one sentence; printed before the first start. */
export const NEEDS =
  "needs: root on Linux (x86-64 or arm64) with Debian packages, Go 1.21 or newer, about 6 GB of disk and 2 GB of memory; " +
  "the first start downloads and builds for about 10 minutes, later ones take seconds";

/** Throws, saying what is missing, unless this machine can run the embedded cluster. */
export async function assertCanRun(): Promise<void> {
  if (process.platform !== "linux") throw new Error(`the embedded cluster runs on Linux only; ${NEEDS}`);
  if (process.getuid?.() !== 0)
    throw new Error(`the embedded cluster must be started as root (sudo -E); ${NEEDS}`);
  const go = await run("go", ["env", "GOVERSION"]).catch(() => undefined);
  const minor = Number(/go1\.(\d+)/.exec(go?.stdout ?? "")?.[1] ?? 0);
  if (minor < OLDEST_GO) throw new Error(`Go 1.${OLDEST_GO} or newer is not on PATH; ${NEEDS}`);
}

function isThere(proof: string): Promise<boolean> | boolean {
  return proof.startsWith("/") ? existsSync(proof) : onPath(proof).then(found => found !== undefined);
}

/** Installs the Debian packages that are missing, by default those of the cluster; does nothing where all are there. */
export async function ensurePackages(progress: Progress, packages = PACKAGES): Promise<void> {
  const names: string[] = [];
  for (const [name, proof] of Object.entries(packages)) if (!(await isThere(proof))) names.push(name);
  if (names.length === 0) return;
  if ((await onPath("apt-get")) === undefined) {
    throw new Error(`not a Debian system, so please install by hand: ${names.join(" ")}`);
  }
  // RUNLEVEL=1 keeps Debian's scripts from starting the packages' own services: the cluster runs its own copies.
  const env = { DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  await progress.step(`installing Debian packages ${names.join(" ")}`, async note => {
    await capture("apt-get", ["update", "-q"], { env, onLine: note });
    const install = ["install", "-y", "-q", "--no-install-recommends", ...names];
    await capture("apt-get", install, { env, onLine: note });
  });
}
