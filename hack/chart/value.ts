/** A value of a chart: its default, its JSON schema and what it means. */
export interface Value {
  readonly path: readonly [string, ...string[]];
  readonly default: unknown;
  readonly schema: object;
  /** One sentence or more, for values.yaml and the schema. */
  readonly comment: string;
}
