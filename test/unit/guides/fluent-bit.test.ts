import { expect } from "chai";
import { guideRecipe, KNOWN_KEYS, sectionsOf, takes } from "../../support/fluent-bit";

describe("the guide's recipe for Fluent Bit", () => {
  const recipe = guideRecipe();
  const nameOf = ({ kind, entries }: (typeof recipe)[number]): string => `${kind} ${entries["Name"] ?? ""}`;

  it("has plugins that there are, with keys that they have", () => {
    expect(recipe.map(nameOf)).to.deep.equal(["INPUT tail", "FILTER kubernetes", "OUTPUT stdout"]);
    for (const section of recipe)
      for (const key of Object.keys(section.entries))
        expect(KNOWN_KEYS[nameOf(section)], `${nameOf(section)}: ${key}`).to.include(key.toLowerCase());
  });

  it("hands what it reads through the filter to the output, under the tag that the filter reads pods' names from", () => {
    const [input, ...others] = recipe;
    expect(input?.entries["Tag"]).to.equal("kube.*");
    for (const { entries } of others) expect(entries["Match"]).to.equal("kube.*");
    expect(input?.entries["multiline.parser"], "lines are the kubelet's").to.equal("cri");
  });

  it("takes the files of sidecars and of the control plane, and of nobody else", () => {
    const patterns = recipe[0]?.entries["Path"] ?? "";
    const file = (name: string): string => `/var/log/containers/${name}.log`;
    for (const name of [
      "cart-1_shop_envoy-0a1b",
      "pepr-osm-1_pepr-system_server-0a1b",
      "pepr-osm-watcher-1_pepr-system_watcher-0a1b",
    ])
      expect(takes(patterns, file(name)), name).to.equal(true);
    for (const name of [
      "cart-1_shop_app-0a1b",
      "pepr-other-1_pepr-system_server-0a1b",
      "pepr-osm-1_shop_server-0a1b",
    ])
      expect(takes(patterns, file(name)), name).to.equal(false);
  });

  it("is refused where a line is none of Fluent Bit's", () => {
    for (const text of ["Name tail", "[INPUT]\nName", "[INPUT]\n    Name"])
      expect(() => sectionsOf(text), text).to.throw("Fluent Bit would not read");
  });
});
