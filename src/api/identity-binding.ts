import type { Diagnostic } from "../model/diagnostic";
import type { ObjectRef } from "../model/object-ref";
import * as is from "./field";

/**
 * IdentityBinding (`access.smi-spec.io/v1alpha4`): workloads of the object's namespace under one name. Each scheme counts by
 * itself; labels and a service account exclude each other.
 */
export interface IdentityBindingSpec {
  readonly schemes: {
    readonly podLabelSelector?: { readonly matchLabels: Readonly<Record<string, string>> };
    /** `<trust domain>/ns/<namespace>/sa/<account>`, with or without `spiffe://`. */
    readonly spiffeIdentities?: readonly string[];
    readonly serviceAccount?: string;
  };
}

const SPIFFE = /^(spiffe:\/\/)?[^/\s]+(\/[^/\s]+)+$/;

const labels: is.Check = (value, place) => {
  is.object({})(value, place);
  for (const [label, text] of Object.entries(is.fieldsOf(value))) is.text(63, 0)(text, place.at(label));
  // No label at all would mean every pod of the namespace, which nobody writes on purpose.
  if (Object.keys(is.fieldsOf(value)).length === 0) place.error("must have at least one label");
};

const selector = is.all(is.object({ matchLabels: labels }, ["matchLabels"]), (value, place) => {
  const { matchExpressions } = is.fieldsOf(value);
  // To leave an expression out would select more pods than were meant.
  if (is.itemsOf(matchExpressions).length > 0)
    place.at("matchExpressions").error("is not understood; use matchLabels");
});

const oneOf: is.Check = (value, place) => {
  const { podLabelSelector, serviceAccount } = is.fieldsOf(value);
  if (podLabelSelector !== undefined && serviceAccount !== undefined)
    place.error("must not have both podLabelSelector and serviceAccount");
};

const schemes = is.all(
  is.object({
    podLabelSelector: selector,
    spiffeIdentities: is.list(
      is.textLike("a SPIFFE identity like cluster.local/ns/shop/sa/cart", text => SPIFFE.test(text)),
    ),
    serviceAccount: is.objectName,
  }),
  oneOf,
);

/** Identities of other namespaces are not this object's to name; those of other trust domains never call here. */
const foreign: is.Check = (value, place) => {
  const { metadata, spec } = is.fieldsOf(value);
  const own = is.textOf(is.fieldsOf(metadata)["namespace"]);
  const { spiffeIdentities } = is.fieldsOf(is.fieldsOf(spec)["schemes"]);
  is.itemsOf(spiffeIdentities).forEach((item, index) => {
    const [, namespace] = /^(?:spiffe:\/\/)?[^/]+\/ns\/([^/]+)\/sa\/[^/]+$/.exec(is.textOf(item) ?? "") ?? [];
    if (own === undefined || namespace === own) return;
    place
      .at("spec")
      .at("schemes")
      .at("spiffeIdentities")
      .at(index)
      .warn(`has no effect: ${is.quote(item)} is no service account of namespace ${own}`);
  });
};

const check = is.all(is.specOf(is.object({ schemes }, ["schemes"])), foreign);

/** What is wrong with the fields of an IdentityBinding. */
export function validateIdentityBinding(subject: ObjectRef, object: unknown): readonly Diagnostic[] {
  return is.validateObject(subject, object, check);
}
