/** Where a policy names a service account that is not there. */
import type { Inputs } from "../catalog/inputs";
import type { Read } from "../graph/graph";
import type { Diagnostic } from "../model/diagnostic";
import type { ServiceIdentity } from "../model/identity";
import { identityKey } from "../model/identity";
import type { ObjectRef } from "../model/object-ref";

/** A place of an object that names accounts. */
export interface NamedAccounts {
  /** Path of the field, like `spec.sources`. */
  readonly field: string;
  readonly accounts: readonly ServiceIdentity[];
}

/**
 * One `NoEffect` warning for each account that does not exist. A warning only: accounts often come after the policies
 * that name them. An account that a pod of the mesh runs as is there, also when the news of it has not come yet.
 */
export function accountFindings(
  read: Read,
  { serviceAccounts, pods }: Pick<Inputs, "serviceAccounts" | "pods">,
  subject: ObjectRef,
  named: readonly NamedAccounts[],
): readonly Diagnostic[] {
  const isThere = (account: string): boolean =>
    read(serviceAccounts.row(account)) !== undefined || read(pods.by("account", account)).length > 0;
  return named.flatMap(({ field, accounts }) =>
    accounts
      .map(identityKey)
      .filter(account => !isThere(account))
      .map(account => ({
        severity: "warning",
        code: "NoEffect",
        subject,
        field,
        message: `ServiceAccount ${account} does not exist`,
      })),
  );
}
