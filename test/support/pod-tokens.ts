import { createPrivateKey, sign } from "node:crypto";
import type { ServiceIdentity } from "../../src/model/identity";
import { TOKEN_AUDIENCE } from "../../src/model/mesh-words";
import type { KubeObject } from "../../src/runtime/kube";
import { isConflict } from "../../src/runtime/kube/errors";
import type { ClosableKubeClient } from "../../src/runtime/kube/client";
import { startApiServerForTest, type TestApiServer } from "./kube-apiserver";

/** A pod in the API; nothing runs it. */
export interface ApiPod {
  readonly identity: ServiceIdentity;
  readonly name: string;
  readonly uid: string;
}

/** What a forged token says; everything may be wrong. */
export type Claims = Record<string, unknown>;

interface TokenRequest {
  readonly spec: Record<string, unknown>;
  readonly status?: { readonly token: string };
}

/** Pods and their tokens on a real API server. */
export class PodTokens {
  private constructor(
    readonly server: TestApiServer,
    readonly kube: ClosableKubeClient,
    readonly issuer: string,
    private readonly keyId: string,
  ) {}

  static async start(): Promise<PodTokens> {
    const server = await startApiServerForTest();
    const kube = server.client();
    const { issuer } = await kube.get<{ issuer: string }>("/.well-known/openid-configuration");
    const { keys } = await kube.get<{ keys: readonly { kid: string }[] }>("/openid/v1/jwks");
    return new PodTokens(server, kube, issuer, keys[0]?.kid ?? "");
  }

  async pod(identity: ServiceIdentity, name: string): Promise<ApiPod> {
    const { namespace, serviceAccount } = identity;
    await this.ensure("/api/v1/namespaces", { metadata: { name: namespace } });
    await this.ensure(`/api/v1/namespaces/${namespace}/serviceaccounts`, {
      metadata: { name: serviceAccount, namespace },
    });
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, namespace },
      spec: { serviceAccountName: serviceAccount, containers: [{ name: "app", image: "app" }] },
    };
    const created = await this.kube.create<KubeObject>(`/api/v1/namespaces/${namespace}/pods`, pod);
    return { identity, name, uid: created.metadata.uid ?? "" };
  }

  /** A token as the kubelet gets it. */
  async token(pod: ApiPod, audience = TOKEN_AUDIENCE): Promise<string> {
    const { namespace, serviceAccount } = pod.identity;
    const boundObjectRef = { kind: "Pod", apiVersion: "v1", name: pod.name, uid: pod.uid };
    return this.request(namespace, serviceAccount, { audiences: [audience], boundObjectRef });
  }

  /** A token that is bound to no pod. */
  async unboundToken({ namespace, serviceAccount }: ServiceIdentity): Promise<string> {
    return this.request(namespace, serviceAccount, { audiences: [TOKEN_AUDIENCE] });
  }

  /** Deletes a pod at once. */
  async remove(pod: ApiPod): Promise<void> {
    await this.kube.delete(
      `/api/v1/namespaces/${pod.identity.namespace}/pods/${pod.name}?gracePeriodSeconds=0`,
    );
  }

  /** Good claims for a pod, to be changed by a test. */
  claims(pod: ApiPod): Claims {
    const now = Math.floor(Date.now() / 1000);
    const { namespace, serviceAccount } = pod.identity;
    return {
      iss: this.issuer,
      aud: [TOKEN_AUDIENCE],
      iat: now,
      nbf: now,
      exp: now + 3600,
      sub: `system:serviceaccount:${namespace}:${serviceAccount}`,
      "kubernetes.io": {
        namespace,
        pod: { name: pod.name, uid: pod.uid },
        serviceaccount: { name: serviceAccount, uid: "9e4f6c1e-0000-4000-8000-000000000000" },
      },
    };
  }

  /** A token with these claims, signed by the server's own key unless told otherwise. */
  forge(claims: Claims, header: Claims = {}, key = this.server.tokenSigningKey): string {
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
    const signed = `${part({ alg: "RS256", kid: this.keyId, ...header })}.${part(claims)}`;
    return `${signed}.${sign("sha256", Buffer.from(signed), createPrivateKey(key)).toString("base64url")}`;
  }

  async stop(): Promise<void> {
    this.kube.close();
    await this.server.stop();
  }

  private async request(namespace: string, account: string, spec: Record<string, unknown>): Promise<string> {
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
    const { status } = await this.kube.create<TokenRequest>(path, {
      spec: { expirationSeconds: 3600, ...spec },
    });
    return status?.token ?? "";
  }

  private async ensure(path: string, object: object): Promise<void> {
    try {
      await this.kube.create(path, object);
    } catch (error) {
      if (!isConflict(error)) throw error;
    }
  }
}
