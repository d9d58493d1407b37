import { expect } from "chai";
import { Traffic } from "../../../../src/runtime/api/traffic";
import { namespace, pod } from "../../../support/objects";
import { createWorld } from "../../../support/world";

const address = (index: number): string => `10.9.${index >> 8}.${index % 256}`;
const many = (count: number): ReturnType<typeof pod>[] =>
  Array.from({ length: count }, (_, index) =>
    pod({ name: `p${index}`, namespace: "a", ips: [address(index)] }),
  );

describe("The traffic that sidecars tell", function () {
  this.timeout(60_000);

  it("is answered while pods do not answer, and names them", async () => {
    const world = createWorld();
    world.feed(namespace("a"), ...many(200));
    const traffic = new Traffic(world.engine, { now: () => 1_000_000 }, () => new Promise(() => undefined));
    const { asked, silent } = await traffic.page();
    expect([asked, silent.length]).to.deep.equal([200, 200]);
  });

  it("asks all pods in turn, and says of which it has not heard", async () => {
    const world = createWorld();
    world.feed(namespace("a"), ...many(600));
    let now = 1_000_000;
    const heard = new Set<string>();
    const ask = (host: string): Promise<string> => {
      heard.add(host);
      return Promise.resolve("");
    };
    const traffic = new Traffic(world.engine, { now: () => now }, ask);
    const first = await traffic.page();
    expect([first.asked, first.silent.length, heard.size]).to.deep.equal([600, 100, 500]);
    now += 1_000;
    expect((await traffic.page()).silent).to.deep.equal([]);
    expect(heard.size).to.equal(600);
  });

  it("believes no destination that there is not", async () => {
    const world = createWorld();
    const [p0, p1] = many(2);
    if (p0 === undefined || p1 === undefined) throw new Error("no pods");
    world.feed(namespace("a"), p0, p1);
    let now = 1_000_000;
    let count = 0;
    const [kind, name] = ["Pod", "p1"];
    const to = (where: string, of: string): string =>
      `osm_request_total{source_namespace="a",source_kind="${kind}",source_name="p0",destination_namespace="${where}",destination_kind="${kind}",destination_name="${of}",response_code="200"} ${count}`;
    const ask = (): Promise<string> =>
      Promise.resolve([to("a", name), to("victim", "x"), to("a", `${name}>b`)].join("\n"));
    const traffic = new Traffic(world.engine, { now: () => now }, ask);
    await traffic.page();
    now += 1_000;
    count = 5;
    const { pairs } = await traffic.page();
    expect(new Set(pairs.map(({ to: reached }) => reached))).to.deep.equal(new Set(["a/Pod/p1"]));
  });
});
