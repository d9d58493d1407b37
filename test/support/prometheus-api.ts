import { setTimeout as sleep } from "node:timers/promises";

/** One series of an instant query. */
export interface QueryRow {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A target that is scraped. */
export interface Target {
  readonly scrapePool: string;
  readonly scrapeUrl: string;
  readonly health: string;
  readonly lastError: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** A rule and how it fares. */
export interface RuleState {
  readonly name: string;
  readonly type: "alerting" | "recording";
  readonly health: string;
  readonly lastError?: string;
  /** Of an alert: inactive, pending or firing. */
  readonly state?: string;
  readonly alerts?: readonly { readonly labels: Readonly<Record<string, string>>; readonly state: string }[];
}

/** The HTTP API of a Prometheus. */
export class PrometheusApi {
  public constructor(private readonly base: string) {}

  public async isReady(): Promise<true | undefined> {
    const answer = await fetch(`${this.base}/-/ready`).catch(() => undefined);
    return answer?.ok === true ? true : undefined;
  }

  /** An instant query; throws with Prometheus' own words when it is wrong. */
  public async query(expr: string): Promise<readonly QueryRow[]> {
    const { result } = await this.get<{
      result: readonly { metric: Record<string, string>; value: [number, string] }[];
    }>(`query?query=${encodeURIComponent(expr)}`);
    return result.map(({ metric, value }) => ({ metric, value: Number(value[1]) }));
  }

  public async targets(): Promise<readonly Target[]> {
    return (await this.get<{ activeTargets: readonly Target[] }>("targets?state=active")).activeTargets;
  }

  public async rules(): Promise<readonly RuleState[]> {
    const { groups } = await this.get<{ groups: readonly { rules: readonly RuleState[] }[] }>("rules");
    return groups.flatMap(({ rules }) => rules);
  }

  private async get<T>(place: string): Promise<T> {
    for (let left = 2; ; left -= 1) {
      try {
        const answer = await fetch(`${this.base}/api/v1/${place}`);
        const { status, data, error } = (await answer.json()) as { status: string; data: T; error?: string };
        if (status !== "success") throw new RefusedQuery(`${place}: ${error ?? ""}`);
        return data;
      } catch (failure) {
        // A connection may be reset on a machine under load; what Prometheus says is final.
        if (left === 0 || failure instanceof RefusedQuery) throw failure;
        await sleep(500);
      }
    }
  }
}

class RefusedQuery extends Error {}
