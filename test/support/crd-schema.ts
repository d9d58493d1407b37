/** What a custom kind's schema says about an object: fields, types, bounds. Rules of CEL are the API server's. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";
import { repositoryRoot } from "../../hack/cluster/settings";

/** A structural schema. */
export interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly "x-kubernetes-int-or-string"?: boolean;
  readonly "x-kubernetes-preserve-unknown-fields"?: boolean;
}

/** A definition of a custom kind. */
export interface Definition {
  readonly spec: {
    readonly group: string;
    readonly names: {
      readonly kind: string;
      readonly plural: string;
      readonly singular: string;
      readonly shortNames?: readonly string[];
    };
    readonly versions: readonly {
      readonly name: string;
      readonly schema: { readonly openAPIV3Schema: Schema };
    }[];
  };
}

/** Definitions of `crds/`. */
export function readDefinitions(): readonly Definition[] {
  const folder = path.join(repositoryRoot(), "crds");
  return readdirSync(folder).map(file => parse(readFileSync(path.join(folder, file), "utf8")) as Definition);
}

const TYPES: Readonly<Record<string, (value: unknown) => boolean>> = {
  object: value => typeof value === "object" && value !== null && !Array.isArray(value),
  array: value => Array.isArray(value),
  string: value => typeof value === "string",
  boolean: value => typeof value === "boolean",
  integer: value => Number.isInteger(value),
  number: value => typeof value === "number",
};

function within(size: number, least = 0, most = Infinity): boolean {
  return size >= least && size <= most;
}

function textFault({ minLength, maxLength, pattern }: Schema, value: string): string | undefined {
  if (!within(value.length, minLength, maxLength)) return "is too short or too long";
  if (pattern === undefined || new RegExp(pattern, "u").test(value)) return undefined;
  return `does not match ${pattern}`;
}

function boundFault(schema: Schema, value: unknown): string | undefined {
  const { minimum = -Infinity, maximum, minItems, maxItems } = schema;
  if (typeof value === "string") return textFault(schema, value);
  if (typeof value === "number") return within(value, minimum, maximum) ? undefined : "is out of bounds";
  if (!Array.isArray(value) || within(value.length, minItems, maxItems)) return undefined;
  return "has too few or too many items";
}

function faultOf(schema: Schema, value: unknown): string | undefined {
  const { type, enum: words } = schema;
  if (type !== undefined && TYPES[type]?.(value) === false) return `is no ${type}`;
  if (words !== undefined && !words.includes(value))
    return `is none of ${words.map(each => JSON.stringify(each)).join(", ")}`;
  return boundFault(schema, value);
}

/** What is wrong with a value, with its path. */
export function schemaFaults(schema: Schema, value: unknown, at = ""): readonly string[] {
  const fault = faultOf(schema, value);
  if (fault !== undefined) return [`${at} ${fault}`];
  if (Array.isArray(value))
    return value.flatMap((item, index) => schemaFaults(schema.items ?? {}, item, `${at}[${index}]`));
  if (typeof value !== "object" || value === null) return [];
  const missing = (schema.required ?? []).filter(name => !(name in value));
  return [
    ...missing.map(name => `${at}.${name} is missing`),
    ...Object.entries(value).flatMap(([name, field]) => {
      const inner = fieldSchema(schema, name);
      return inner === undefined ? [`${at}.${name} is unknown`] : schemaFaults(inner, field, `${at}.${name}`);
    }),
  ];
}

function fieldSchema(schema: Schema, name: string): Schema | undefined {
  const own = schema.properties?.[name];
  if (own !== undefined) return own;
  if (typeof schema.additionalProperties === "object") return schema.additionalProperties;
  const isFree = schema["x-kubernetes-preserve-unknown-fields"] === true || schema.properties === undefined;
  return isFree || schema.additionalProperties === true ? {} : undefined;
}

/** Whether a path of fields like `spec.traffic.enableEgress` leads somewhere; `[]` and `[0]` of lists may stand or not. */
export function hasField(schema: Schema, field: string): boolean {
  const names = field.replaceAll(/\[\d*\]/g, "").split(".");
  const end = names.reduce<Schema | undefined>(
    (at, name) => (at === undefined ? undefined : fieldSchema(itemOf(at), name)),
    schema,
  );
  return end !== undefined;
}

function itemOf(schema: Schema): Schema {
  return schema.items === undefined ? schema : itemOf(schema.items);
}
