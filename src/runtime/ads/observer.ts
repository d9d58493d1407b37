import type { TypeUrl } from "../../xds/resource";
import { contained } from "../contained";
import type { Log } from "../ports";

/** Who counts what happens on the delta streams of a replica. Times in milliseconds. */
export interface AdsObserver {
  requested(type: TypeUrl): void;
  sent(type: TypeUrl): void;
  /** A proxy has answered a response: taken, or refused. */
  answered(type: TypeUrl, taken: boolean, ms: number): void;
  /** A proxy holds everything that follows from news of an object of this kind. */
  converged(kind: string, ms: number): void;
}

/** The same observer; what it throws is logged, and no stream ends for it. */
export function containedObserver(observer: AdsObserver, log: Log): AdsObserver {
  const tell = (run: () => void): void => {
    contained(log, "observer of streams", run);
  };
  return {
    requested: type => {
      tell(() => {
        observer.requested(type);
      });
    },
    sent: type => {
      tell(() => {
        observer.sent(type);
      });
    },
    answered: (type, taken, ms) => {
      tell(() => {
        observer.answered(type, taken, ms);
      });
    },
    converged: (kind, ms) => {
      tell(() => {
        observer.converged(kind, ms);
      });
    },
  };
}

/** Kinds of objects that there is news of, with when the first of it came, epoch milliseconds. */
export type News = ReadonlyMap<string, number>;

/** Which news each stream has still to take up; `S` is a stream. */
export class Convergence<S> {
  private readonly open = new Map<S, Map<string, number>>();

  /** A stream has configuration to come because of this news. News that is being taken up already counts from its beginning. */
  begin(stream: S, news: News): void {
    if (news.size > 0) this.open.set(stream, new Map([...news, ...(this.open.get(stream) ?? [])]));
  }

  isOpen(stream: S): boolean {
    return this.open.has(stream);
  }

  /** It has taken up everything; gives what that was. */
  end(stream: S): News {
    const news = this.open.get(stream);
    this.open.delete(stream);
    return news ?? new Map<string, number>();
  }
}
