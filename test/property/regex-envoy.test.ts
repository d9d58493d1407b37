import { expect } from "chai";
import fc from "fast-check";
import type { JsonObject } from "@bufbuild/protobuf";
import { regexFault } from "../../src/api/regex";
import { bootstrap } from "../../src/injector/bootstrap";
import { randomPattern } from "../support/random-pattern";
import { SEED } from "../support/seed";
import { staticBootstrap, validateBootstrap } from "../support/envoy";

const PATTERNS = 5_000;

/** Routes with a pattern each, as a path by itself and with what a prefix pattern gets behind it, and as a header. */
function routesOf(patterns: readonly string[]): JsonObject[] {
  const answer = { directResponse: { status: 200 } };
  return patterns
    .filter(pattern => pattern !== "")
    .flatMap(pattern => [
      { match: { safeRegex: { regex: pattern } }, ...answer },
      { match: { safeRegex: { regex: `(?:${pattern}).*` } }, ...answer },
      {
        match: {
          prefix: "/",
          headers: [{ name: "a", stringMatch: { safeRegex: { regex: pattern } } }],
        },
        ...answer,
      },
    ]);
}

/** The bootstrap of a sidecar as far as it steers the engine, with the patterns in one route table. */
function withRoutes(routes: JsonObject[]): JsonObject {
  const real = bootstrap({ adsAddress: "ads.test:15128", routes: [], metrics: false, ipv6: false });
  const base = staticBootstrap([]);
  const listener = {
    name: "patterns",
    address: { socketAddress: { address: "127.0.0.1", portValue: 20_000 } },
    bindToPort: false,
    filterChains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typedConfig: {
              "@type":
                "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
              statPrefix: "patterns",
              routeConfig: { name: "patterns", virtualHosts: [{ name: "all", domains: ["*"], routes }] },
              httpFilters: [
                {
                  name: "envoy.filters.http.router",
                  typedConfig: {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
                  },
                },
              ],
            },
          },
        ],
      },
    ],
  };
  return {
    ...base,
    layeredRuntime: real["layered_runtime"] as JsonObject,
    staticResources: { ...(base["staticResources"] as JsonObject), listeners: [listener] },
  };
}

/** The first pattern that Envoy refuses, by halves; undefined when it takes all. */
async function refusedOf(patterns: readonly string[]): Promise<string | undefined> {
  const verdict = await validateBootstrap(withRoutes(routesOf(patterns)));
  if (verdict.ok) return undefined;
  if (patterns.length === 1) return `${patterns[0] ?? ""}: ${verdict.output.slice(-300)}`;
  const middle = Math.ceil(patterns.length / 2);
  return (await refusedOf(patterns.slice(0, middle))) ?? (await refusedOf(patterns.slice(middle)));
}

describe("regular expressions and the real Envoy", function () {
  this.timeout(300_000);

  it(`takes every one of ${PATTERNS} random patterns that the mesh takes`, async () => {
    const patterns = [...new Set(fc.sample(randomPattern(), { numRuns: PATTERNS }))];
    const taken = patterns.filter(pattern => regexFault(pattern) === undefined);
    console.log(`      OSM_SEED=${SEED}`);
    console.log(`      ${patterns.length} different patterns, ${taken.length} taken by the mesh`);
    expect(taken.length).to.be.greaterThan(PATTERNS / 10);
    expect(await refusedOf(taken)).to.equal(undefined);
  });

  it("knows what Envoy refuses: a table with one bad pattern is refused as a whole", async () => {
    for (const bad of ["(?=a)", String.raw`(a)\1`, "a{1001}", String.raw`\x{10FFFF}`]) {
      expect(regexFault(bad), bad).to.not.equal(undefined);
      expect((await refusedOf(["/good", bad]))?.startsWith(bad), bad).to.equal(true);
    }
  });
});
