/** A Kubernetes quantity with its unit, as far as CPU and memory are written: `200m`, `1.5`, `512Mi`, `2G`. */
const QUANTITY = /^(\d+)(?:\.(\d+))?(m|Ki|Mi|Gi|Ti|k|M|G|T)?$/;

const THOUSAND = 1_000n;
/** Units of a quantity in thousandths, the largest first. */
const BINARY = [
  ["Ti", 1_024n ** 4n * THOUSAND],
  ["Gi", 1_024n ** 3n * THOUSAND],
  ["Mi", 1_024n ** 2n * THOUSAND],
  ["Ki", 1_024n * THOUSAND],
] as const;
const DECIMAL = [
  ["T", 10n ** 15n],
  ["G", 10n ** 12n],
  ["M", 10n ** 9n],
  ["k", 10n ** 6n],
] as const;
const SMALL = [
  ["", THOUSAND],
  ["m", 1n],
] as const;

/** In thousandths, and whether its unit is one of the binary ones; undefined: no quantity, or finer than a thousandth. */
function parsed(text: string): { readonly thousandths: bigint; readonly binary: boolean } | undefined {
  const [, whole, fraction = "", unit = ""] = QUANTITY.exec(text) ?? [];
  if (whole === undefined) return undefined;
  const size = [...BINARY, ...DECIMAL, ...SMALL].find(([name]) => name === unit)?.[1] ?? THOUSAND;
  const scale = 10n ** BigInt(fraction.length);
  const scaled = BigInt(`${whole}${fraction}`) * size;
  return scaled % scale === 0n ? { thousandths: scaled / scale, binary: unit.endsWith("i") } : undefined;
}

/**
 * A quantity as the API server stores it: `1000m` is kept as `1`, `0.5` as `500m`, `1024Mi` as `1Gi`. What was written otherwise
 * would look changed for ever to whoever compares it with what is stored. Text that is no quantity, or finer than a thousandth,
 * comes back as it is.
 */
export function canonicalQuantity(text: string): string {
  const quantity = parsed(text);
  if (quantity === undefined) return text;
  const { thousandths, binary } = quantity;
  if (thousandths === 0n) return "0";
  const family = binary ? [...BINARY, ...SMALL] : [...DECIMAL, ...SMALL];
  const [name, one] = family.find(([, each]) => thousandths % each === 0n) ?? SMALL[1];
  return `${String(thousandths / one)}${name}`;
}
