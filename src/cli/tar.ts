/** A tar archive (ustar) of text files: pure. */

const BLOCK = 512;

function octal(value: number, length: number): string {
  return `${value.toString(8).padStart(length - 1, "0")}\0`;
}

function header(name: string, size: number, mtime: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  // Long names are split at a slash: up to 155 bytes of folder before 100 of name.
  const cut = name.length <= 100 ? -1 : name.lastIndexOf("/", 155);
  block.write(name.slice(cut + 1).slice(0, 100), 0);
  block.write(octal(0o644, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(size, 12), 124);
  block.write(octal(mtime, 12), 136);
  block.write("        ", 148);
  block.write("0", 156);
  block.write("ustar\u000000", 257);
  if (cut > 0) block.write(name.slice(0, cut), 345);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

/** Packs files by name; `mtime` is seconds since 1970. */
export function tarOf(files: ReadonlyMap<string, string>, mtime: number): Buffer {
  const parts: Buffer[] = [];
  for (const [name, text] of files) {
    const bytes = Buffer.from(text);
    parts.push(header(name, bytes.length, mtime), bytes);
    parts.push(Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK));
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK)]);
}
