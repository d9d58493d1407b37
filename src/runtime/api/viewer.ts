/** Who may read: whoever the cluster's RBAC lets create a token of one ServiceAccount, for this audience. */
import { API_AUDIENCE, PEPR_NAMESPACE, VIEWER_ACCOUNT } from "../../model/mesh-words";
import { parseToken } from "../identity/jwt";
import { createTokenReviewer } from "../identity/token-review";
import type { KubeClient } from "../kube";
import type { Clock } from "../ports";

const SUBJECT = `system:serviceaccount:${PEPR_NAMESPACE}:${VIEWER_ACCOUNT}`;

/** Whether the value of an `authorization` header proves a viewer. Rejects when the API server cannot be asked. */
export type ViewerCheck = (authorization: string | undefined) => Promise<boolean>;

/**
 * The API server judges each token (TokenReview), so that one whose ServiceAccount was deleted ends within seconds; what is
 * evidently for another audience or of another account is refused without asking.
 */
export function createViewerCheck(options: {
  readonly kube: Pick<KubeClient, "create">;
  readonly clock: Pick<Clock, "now">;
}): ViewerCheck {
  // The subject that the token states proves nothing by itself: not every authenticator of an API server lets Kubernetes choose it.
  const reviewed = createTokenReviewer({ ...options, audience: API_AUDIENCE, username: SUBJECT });
  return async authorization => {
    const token = /^Bearer ([\w.-]+)$/i.exec(authorization ?? "")?.[1];
    return token !== undefined && isViewers(token) && reviewed(token);
  };
}

function isViewers(token: string): boolean {
  try {
    const { sub, aud } = parseToken(token).payload;
    return sub === SUBJECT && Array.isArray(aud) && aud.includes(API_AUDIENCE);
  } catch {
    return false;
  }
}
