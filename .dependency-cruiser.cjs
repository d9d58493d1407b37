/** The walls of docs/architecture.md, one rule with one sentence of reason each. */
const only = (name, from, allowed, comment) => ({
  name,
  severity: "error",
  comment,
  from: { path: `^src/${from}/` },
  to: {
    path: "^(src|capabilities|pepr\\.ts|test|hack)",
    pathNot: [`^src/${from}/`, ...allowed.map(a => `^src/${a}`)],
  },
});
const npmExceptions = [
  { from: "^src/(envoy|xds)/", npm: ["@bufbuild/protobuf"] },
  { from: "^src/envoy/", npm: ["ts-proto"] },
  { from: "^src/api/", npm: ["re2js"] },
  { from: "^src/certificate/", npm: ["node-forge"] },
  { from: "^src/cli/", npm: ["commander", "yaml"] },
];
module.exports = {
  forbidden: [
    // dependency-cruiser resolves the package "pepr" to our pepr.ts; the cycles through it that follow from that are not real.
    {
      name: "no-cycles",
      severity: "error",
      comment: "A cycle hides which of two parts decides.",
      from: { pathNot: ["generated", "^capabilities/.*"] },
      to: { circular: true, pathNot: "^pepr\\.ts$", viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    only(
      "model-is-alone",
      "model",
      [],
      "The words of the mesh depend on nothing, so everything may speak them.",
    ),
    only(
      "graph-is-alone",
      "graph",
      [],
      "The incremental engine knows no mesh word, so it can be proven on its own.",
    ),
    only(
      "api-on-model",
      "api",
      ["model/"],
      "A custom kind is its fields and rules, whatever is done with it later.",
    ),
    only(
      "ingest-reads-objects",
      "ingest",
      ["model/", "api/"],
      "Ingest turns objects into words and decides nothing.",
    ),
    only(
      "catalog-relates",
      "catalog",
      ["model/", "graph/", "api/"],
      "Who serves what must not depend on how a proxy is configured.",
    ),
    only(
      "policy-without-envoy",
      "policy",
      ["model/", "graph/", "catalog/", "api/"],
      "The IR has no Envoy word, so another proxy or the evaluator can read it.",
    ),
    only(
      "envoy-sees-a-leaf",
      "envoy",
      ["model/", "policy/types", "xds/resource"],
      "A builder that sees more than its leaf makes a cache that lies.",
    ),
    only(
      "xds-is-protocol",
      "xds",
      ["model/", "envoy/api/"],
      "The protocol state machine moves bytes and knows no policy.",
    ),
    only(
      "certificate-plans",
      "certificate",
      ["model/", "api/"],
      "Plans of issuance are pure; runtime carries them out.",
    ),
    only(
      "injector-plans",
      "injector",
      ["model/", "api/"],
      "Injection is a function of pod and mesh configuration.",
    ),
    only(
      "status-plans",
      "status",
      ["model/", "api/"],
      "Conditions are computed from diagnostics, never by asking around.",
    ),
    only(
      "install-plans",
      "install",
      ["model/", "api/"],
      "Objects the mesh needs are values; runtime applies them.",
    ),
    {
      name: "runtime-not-capabilities",
      severity: "error",
      comment: "The shell does not know that Pepr calls it.",
      from: { path: "^src/" },
      to: { path: "^(capabilities|pepr\\.ts)" },
    },
    {
      name: "capabilities-shallow",
      severity: "error",
      comment: "A Pepr binding says when and calls; it decides nothing.",
      from: { path: "^capabilities/" },
      to: { path: "^src/", pathNot: "^src/(runtime|injector|api|model|install|status)/" },
    },
    {
      name: "product-not-test",
      severity: "error",
      comment: "The product never needs its tests or tools.",
      from: { path: "^(src|capabilities|pepr\\.ts)" },
      to: { path: "^(test|hack)" },
    },
    {
      name: "io-only-in-runtime",
      severity: "error",
      comment:
        "Input, output, time and packages belong to runtime; the exceptions are listed by folder below.",
      from: { path: "^src/", pathNot: "^src/(runtime|cli)/" },
      to: {
        dependencyTypes: ["npm", "npm-dev", "core"],
        dependencyTypesNot: ["type-only"],
        pathNot: ["^(node:)?crypto$", "@bufbuild/protobuf", "ts-proto", "re2js", "node-forge", "@types/"],
      },
    },
    {
      name: "crypto-hash-only",
      severity: "error",
      comment: "Only encoding needs a hash; certificates are signed in runtime.",
      from: { path: "^src/", pathNot: "^src/(runtime|cli|envoy|install|injector)/" },
      to: { path: "^(node:)?crypto$" },
    },
    ...npmExceptions.flatMap(e =>
      e.npm.map(n => ({
        name: `npm-${n.replace(/\W/g, "-")}-where-listed`,
        severity: "error",
        comment: `${n} is used by the folders that need it and by runtime only.`,
        from: {
          path: "^src/",
          pathNot: ["^src/runtime/", ...npmExceptions.filter(x => x.npm.includes(n)).map(x => x.from)],
        },
        to: { path: `node_modules/${n}`, dependencyTypesNot: ["type-only"] },
      })),
    ),
    {
      name: "no-unresolved",
      severity: "error",
      comment: "An import that does not resolve fails only in the cluster.",
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.test.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default"],
      mainFields: ["main", "types"],
    },
  },
};
