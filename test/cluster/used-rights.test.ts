import { expect } from "chai";
import { MODULE } from "../../src/install/names";
import { PEPR_NAMESPACE } from "../../src/model/mesh-words";
import { verdict } from "../support/verdict";
import {
  covers,
  printed,
  requestsOf,
  rightsOf,
  uses,
  type Asked,
  type Right,
  type Rule,
} from "./support/audit";
import { FULL, Mesh, report } from "./support/mesh";

interface Binding {
  readonly metadata: { readonly name: string };
  readonly roleRef: { readonly kind: string; readonly name: string };
  readonly subjects?: readonly {
    readonly kind: string;
    readonly name: string;
    readonly namespace?: string;
  }[];
}

interface Role {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly rules?: readonly Rule[];
}

const ACCOUNT = `system:serviceaccount:${PEPR_NAMESPACE}:${MODULE}`;

/** The same line many times says no more than once. */
function counted(lines: readonly string[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
  return [...counts].sort().map(([line, count]) => `${count} × ${line}`);
}

const lineOf = (asked: Asked): string =>
  printed({ ...asked, name: asked.name === "" ? undefined : asked.name });

describe("the rights of the control plane, as its requests have used them so far", function () {
  this.timeout(300_000);
  let asked: readonly Asked[] = [];
  let rights: readonly Right[] = [];

  before(async () => {
    const mesh = await Mesh.open();
    const since = FULL ? "" : await deployedAt(mesh);
    const all = await requestsOf(mesh.cluster.settings, ACCOUNT);
    asked = all.filter(({ resource, at }) => resource !== "" && at >= since);
    rights = rightsOf(await rulesOf(mesh));
    expect(
      asked.length,
      "requests in the audit log; a cluster of before has none: npm run cluster:down",
    ).to.be.above(0);
    report(`${asked.length} requests since ${asked[0]?.at ?? ""}, ${rights.length} rights`);
  });

  /** When the oldest pod of the control plane was made: its rights are those of now, whatever was deployed before. */
  async function deployedAt({ kubectl }: Mesh): Promise<string> {
    const { items } = await kubectl.json<{ items: { metadata: { creationTimestamp: string } }[] }>([
      "-n",
      PEPR_NAMESPACE,
      "get",
      "pods",
    ]);
    return items.map(({ metadata }) => metadata.creationTimestamp).sort()[0] ?? "";
  }

  /** Rules of what Pepr has rendered: roles that it bound to its own account, in whichever namespace. */
  async function rulesOf({ kubectl }: Mesh): Promise<readonly Rule[]> {
    const own = new RegExp(`^${MODULE}(-|$)`);
    const list = async <T>(kinds: string): Promise<readonly T[]> =>
      (await kubectl.json<{ items: readonly T[] }>(["get", kinds, "-A"])).items;
    const bindings = await list<Binding>("clusterrolebindings,rolebindings");
    const bound = bindings.filter(
      ({ metadata, subjects = [] }) =>
        own.test(metadata.name) &&
        subjects.some(({ name, namespace }) => name === MODULE && namespace === PEPR_NAMESPACE),
    );
    const roles = await list<Role>("clusterroles,roles");
    return bound.flatMap(({ roleRef }) =>
      roles
        .filter(({ kind, metadata }) => kind === roleRef.kind && metadata.name === roleRef.name)
        .flatMap(({ rules = [] }) => rules),
    );
  }

  it("suffice: nothing was asked for that is forbidden", () => {
    const forbidden = asked.filter(({ authorised }) => !authorised);
    // A namespace that goes takes nothing in, whoever asks; so may an admission.
    const refused = asked.filter(({ authorised, code }) => authorised && code === 403);
    for (const line of counted(refused.map(lineOf))) report(`authorised, and answered 403: ${line}`);
    verdict("S-01: requests that were forbidden", forbidden.length === 0, {
      count: asked.length,
      failed: forbidden.length,
      bound: 0,
    });
    expect(forbidden.map(one => `${one.at} ${lineOf(one)} ${one.uri}`)).to.deep.equal([]);
  });

  it("are what each request was allowed by, but for those that an owner or everybody has been given", () => {
    const beyond = asked.filter(one => one.authorised && !rights.some(right => covers(right, one)));
    const reasons = /to (Group "system:(authenticated|serviceaccounts)|ServiceAccount)/;
    for (const line of counted(beyond.map(one => `${lineOf(one)}: ${one.reason}`)))
      report(`not rendered: ${line}`);
    // An owner's own Role is no binding of Pepr's; one of Pepr's that allows more than is rendered would be.
    const own = new RegExp(`(Cluster)?RoleBinding "${MODULE}[-"/]`);
    const unexplained = beyond.filter(({ reason }) => own.test(reason) || !reasons.test(reason));
    verdict("S-01: requests beyond the rendered rights", unexplained.length === 0, {
      count: asked.length,
      failed: unexplained.length,
      bound: 0,
    });
    expect(unexplained.map(one => `${one.at} ${lineOf(one)}: ${one.reason}`)).to.deep.equal([]);
  });

  it("are used: those that no request has needed are told", () => {
    const unused = rights.filter(right => !asked.some(one => uses(right, one)));
    report(`${unused.length} of ${rights.length} rights have not been used so far`);
    // What a few files need says nothing of what the mesh needs.
    if (FULL) {
      for (const right of unused) report(`never used: ${printed(right)}`);
      verdict("S-01: rights that no request has used", unused.length === 0, {
        count: rights.length,
        failed: unused.length,
        bound: "told, to be questioned",
      });
    }
    expect(unused.length).to.be.below(rights.length);
  });
});
