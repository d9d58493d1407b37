import fc from "fast-check";

/**
 * Where every random sequence of the tests begins: the same at reduced counts, so that a change is judged by what it changes
 * and not by a lucky draw; another one at full counts (`OSM_FULL=1`, the nightly run), which look for what nobody thought of.
 * `OSM_SEED` brings one back.
 */
export const SEED = Number(
  process.env["OSM_SEED"] ?? (process.env["OSM_FULL"] === "1" ? Date.now() % 2 ** 31 : 20_261_122),
);

fc.configureGlobal({ seed: SEED });
