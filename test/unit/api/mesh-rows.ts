/** Cases of the validation of what configures the mesh: kinds of the group config.openservicemesh.io. */

/** What is wrong with an object of a kind, in sentences. */
export type Row = readonly [
  title: string,
  kind: string,
  body: Record<string, unknown>,
  errors: readonly string[],
];

const P256_KEY =
  "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWBNDrTDzO87FGtondnJT7lQyUp33QbPa//5qtAD1PllCCbeDkY+KaEA+H8LcTHbM/kFGrqyhe3paLawIHe8vFw==";

export const MESH_ROWS: readonly Row[] = [
  [
    "a whole root",
    "MeshRootCertificate",
    { spec: { role: "active", provider: { tresor: { ca: { secretRef: { name: "a", namespace: "b" } } } } } },
    [],
  ],
  [
    "two providers",
    "MeshRootCertificate",
    {
      spec: {
        role: "active",
        provider: {
          tresor: { ca: { secretRef: { name: "a", namespace: "b" } } },
          certManager: { issuerName: "a", issuerKind: "Issuer", issuerGroup: "cert-manager.io" },
        },
      },
    },
    ["spec.provider must have exactly one of certManager, vault, tresor; certManager and tresor are given"],
  ],
  [
    "no provider, wrong role",
    "MeshRootCertificate",
    { spec: { role: "main", provider: {} } },
    [
      'spec.role must be one of passive, active, inactive; it is "main"',
      "spec.provider must have exactly one of certManager, vault, tresor; none is given",
    ],
  ],
  [
    "a vault without token",
    "MeshRootCertificate",
    { spec: { role: "active", provider: { vault: { host: "v", port: 0, role: "r", protocol: "ftp" } } } },
    [
      "spec.provider.vault.token is required",
      "spec.provider.vault.port must be a whole number from 1 to 65535; it is 0",
      'spec.provider.vault.protocol must be one of http, https; it is "ftp"',
    ],
  ],
  [
    "an extension service",
    "ExtensionService",
    { spec: { host: "otel.o11y.svc", port: 4317, protocol: "h2c", connectTimeout: "1s" } },
    [],
  ],
  [
    "an external workload",
    "ExternalWorkload",
    {
      spec: {
        serviceAccountName: "store",
        addresses: ["192.0.2.7", "2001:db8::7"],
        ports: [{ name: "http", port: 8080 }],
        publicKey: P256_KEY,
      },
    },
    [],
  ],
  [
    "an external workload nowhere",
    "ExternalWorkload",
    { spec: { serviceAccountName: "store", addresses: ["127.0.0.1"] } },
    ['spec.addresses[0] must lead to the workload\'s machine; "127.0.0.1" does not'],
  ],
  [
    "an external workload with another kind of key, and everything twice",
    "ExternalWorkload",
    {
      spec: {
        addresses: ["192.0.2.7", "192.0.2.8"],
        ports: [
          { name: "http", port: 80 },
          { name: "http", port: 81 },
        ],
        publicKey: "MCowBQYDK2VwAyEA",
      },
    },
    [
      "spec.serviceAccountName is required",
      "spec.addresses must have at most one address of each family",
      'spec.ports[1].name is given twice: "http"',
      'spec.publicKey must be a P-256 public key (SubjectPublicKeyInfo, DER in base64); it is "MCowBQYDK2VwAyEA"',
    ],
  ],
  ["no host", "ExtensionService", { spec: { port: 4317 } }, ["spec.host is required"]],
  ["no spec", "ExtensionService", {}, ["spec is required"]],
];
