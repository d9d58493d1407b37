/**
 * Incremental cells. Inputs are set; derived cells record what they read, are marked dirty forward, verify backward and
 * stop where the new value equals the old. Placeholder interface agreed between builders; implementation in this folder.
 */

/** Reads another cell and records the dependency. */
export type Read = <T>(cell: Cell<T>) => T;

/** Anything that has a value now. */
export interface Cell<T> {
  readonly label: string;
  readonly __value?: T;
}
