/**
 * Pods of Pepr's with a root file system that nobody can write to. Pepr's controller unpacks the module beside its packages and the
 * webhook's key goes to a temporary folder; both become a small volume in memory, which an init container prepares.
 */
import { TEMPORARY_PATH } from "./names";

interface Mount {
  readonly mountPath: string;
  readonly name: string;
  readonly [field: string]: unknown;
}

type Fields = Readonly<Record<string, unknown>>;

/** A container of a pod as far as it is read here. */
export interface ContainerSpec extends Fields {
  readonly args?: readonly string[];
  readonly image?: string;
  readonly volumeMounts?: readonly Mount[];
}

/** A pod's specification as far as it is read here. */
export interface PodSpec extends Fields {
  readonly containers: readonly ContainerSpec[];
  readonly initContainers?: readonly ContainerSpec[];
  readonly volumes?: readonly { readonly name: string; readonly [field: string]: unknown }[];
}

const VOLUME = "unpacked";
/** Name of the init container that unpacks the module. */
const UNPACKER = "unpack";
/** Where Pepr's controller looks for the packed module, and the volume that has it. */
const LOAD = "/app/load";
const MODULE_VOLUME = "module";

/**
 * A module that came packed by Brotli, a sixth smaller, becomes the gzip that Pepr's controller reads (and checks by its hash); any
 * other is copied. One that the kubelet does not have yet is an error, and the kubelet tries again.
 */
const SCRIPT = `const fs = require("node:fs"), zlib = require("node:zlib");
const file = "module-" + process.argv[1] + ".js", small = "/bundle/" + file + ".br";
const packed = fs.existsSync(small)
  ? zlib.gzipSync(zlib.brotliDecompressSync(fs.readFileSync(small)), { level: 1 })
  : fs.readFileSync("/bundle/" + file + ".gz");
for (const folder of ["load", "tmp"]) fs.mkdirSync("/unpacked/" + folder, { recursive: true, mode: 0o700 });
fs.writeFileSync("/unpacked/load/" + file + ".gz", packed);
fs.writeFileSync("/unpacked/module.js", "");
`;

const HASH = /^[0-9a-f]{64}$/;
const moduleHash = ({ args = [] }: ContainerSpec): string | undefined => args.find(arg => HASH.test(arg));

function sealed(container: ContainerSpec, hash: string): ContainerSpec {
  const ours: readonly Mount[] = [
    { name: VOLUME, mountPath: LOAD, subPath: "load", readOnly: true },
    { name: VOLUME, mountPath: `/app/module-${hash}.js`, subPath: "module.js" },
    { name: VOLUME, mountPath: TEMPORARY_PATH, subPath: "tmp" },
  ];
  const others = (container.volumeMounts ?? []).filter(
    ({ name, mountPath }) => name !== VOLUME && mountPath !== LOAD,
  );
  return {
    ...container,
    securityContext: readOnly(container),
    volumeMounts: [...others, ...ours],
  };
}

const readOnly = (container: ContainerSpec): Fields => ({
  ...(container["securityContext"] as Fields | undefined),
  readOnlyRootFilesystem: true,
});

function unpacker(container: ContainerSpec, hash: string): ContainerSpec {
  return {
    name: UNPACKER,
    ...(container.image === undefined ? {} : { image: container.image }),
    ...(container["imagePullPolicy"] === undefined ? {} : { imagePullPolicy: container["imagePullPolicy"] }),
    args: ["-e", SCRIPT, hash],
    resources: container["resources"],
    securityContext: readOnly(container),
    volumeMounts: [
      { name: MODULE_VOLUME, mountPath: "/bundle", readOnly: true },
      { name: VOLUME, mountPath: "/unpacked" },
    ],
  };
}

/** The pod with a read-only root file system; one that does not run a module as Pepr writes it comes back as it is. */
export function withReadOnlyRoot(pod: PodSpec): PodSpec {
  const [container, ...more] = pod.containers;
  const hash = container === undefined ? undefined : moduleHash(container);
  if (container === undefined || hash === undefined || more.length > 0) return pod;
  const others = (pod.initContainers ?? []).filter(one => one["name"] !== UNPACKER);
  const volumes = (pod.volumes ?? []).filter(({ name }) => name !== VOLUME);
  return {
    ...pod,
    initContainers: [...others, unpacker(container, hash)],
    containers: [sealed(container, hash)],
    volumes: [...volumes, { name: VOLUME, emptyDir: { medium: "Memory", sizeLimit: "32Mi" } }],
  };
}
