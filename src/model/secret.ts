/** What is printed wherever a secret is printed. */
export const SECRET_MARK = "[secret]";

/**
 * A value that must never be seen in a log, an event, a status or an error: printing it in any way gives
 * {@link SECRET_MARK}. Only {@link reveal} gives it away, so its uses can be counted by a search.
 */
export class Secret<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** The value, for the one place that needs it. */
  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return SECRET_MARK;
  }

  toJSON(): string {
    return SECRET_MARK;
  }

  [Symbol.toPrimitive](): string {
    return SECRET_MARK;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return SECRET_MARK;
  }
}
