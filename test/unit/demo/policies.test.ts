import { expect } from "chai";
import { applicationManifests, type Manifest } from "../../../hack/demo/manifests";
import { accessManifests, splitManifest } from "../../../hack/demo/policies";
import { validateCustomObject } from "../../../src/api/kinds";

interface Named {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
}

interface Target extends Named {
  readonly spec: {
    readonly destination: Named["metadata"];
    readonly sources: readonly Named["metadata"][];
    readonly rules: readonly { readonly kind: string; readonly name: string }[];
  };
}

const place = ({ namespace, name }: Named["metadata"]): string => `${namespace}/${name}`;

function places(manifests: readonly Manifest[], kind: string): readonly string[] {
  return (manifests as unknown as readonly Named[])
    .filter(each => each.kind === kind)
    .map(({ metadata }) => place(metadata));
}

describe("the demo's policies", () => {
  const access = accessManifests();
  const targets = (access as unknown as readonly Target[]).filter(({ kind }) => kind === "TrafficTarget");

  it("are found right by the mesh's own judge", () => {
    for (const manifest of [...access, splitManifest(90, 10)]) {
      expect(
        validateCustomObject(String(manifest["kind"]), manifest),
        JSON.stringify(manifest),
      ).to.deep.equal([]);
    }
  });

  it("name accounts and routes that are there", () => {
    const accounts = places(applicationManifests(), "ServiceAccount");
    for (const { metadata, spec } of targets) {
      expect(accounts).to.include.members([spec.destination, ...spec.sources].map(place));
      for (const { kind, name } of spec.rules) {
        expect(places(access, kind)).to.include(place({ namespace: metadata.namespace, name }));
      }
    }
  });

  it("leave bookthief out", () => {
    const sources = targets.flatMap(({ spec }) => spec.sources.map(place));
    expect(sources).to.include("bookbuyer/bookbuyer");
    expect(sources).not.to.include("bookthief/bookthief");
  });

  it("split the Service that shoppers call between Services that are there", () => {
    const services = places(applicationManifests(), "Service");
    const { metadata, spec } = splitManifest(100, 0) as unknown as Named & {
      readonly spec: {
        readonly service: string;
        readonly backends: readonly { readonly service: string; readonly weight: number }[];
      };
    };
    const backends = spec.backends.map(({ service }) => service);
    expect(services).to.include.members(
      [spec.service, ...backends].map(name => `${metadata.namespace}/${name}`),
    );
    expect(spec.backends.map(({ weight }) => weight)).to.deep.equal([100, 0]);
  });
});
