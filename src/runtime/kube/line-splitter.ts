/**
 * Cuts a byte stream into lines. Cutting happens on bytes, before decoding: the newline byte never occurs inside a
 * multi-byte UTF-8 sequence, so a character split over two chunks is put together again.
 */
export class LineSplitter {
  private readonly pending: Buffer[] = [];
  private pendingBytes = 0;

  /** `maxLineBytes` bounds what an unfinished line may hold; a longer one throws RangeError. */
  constructor(private readonly maxLineBytes = 32 * 1024 * 1024) {}

  /** Takes the next bytes and returns the lines they complete, in order, without empty ones. */
  push(chunk: Uint8Array): string[] {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    const lines: string[] = [];
    let start = 0;
    for (let end = bytes.indexOf(10, start); end !== -1; end = bytes.indexOf(10, start)) {
      const line = this.complete(bytes.subarray(start, end));
      if (line.trim() !== "") lines.push(line);
      start = end + 1;
    }
    this.keep(bytes.subarray(start));
    return lines;
  }

  /** Bytes of the line that is not finished yet. */
  get unfinishedBytes(): number {
    return this.pendingBytes;
  }

  private complete(rest: Buffer): string {
    if (this.pendingBytes === 0) return rest.toString("utf8");
    const line = Buffer.concat([...this.pending, rest]).toString("utf8");
    this.pending.length = 0;
    this.pendingBytes = 0;
    return line;
  }

  private keep(rest: Buffer): void {
    if (rest.length === 0) return;
    this.pendingBytes += rest.length;
    if (this.pendingBytes > this.maxLineBytes) {
      throw new RangeError(`a line of more than ${this.maxLineBytes} bytes`);
    }
    // A copy: a sub-array would keep the whole chunk alive for as long as the line is unfinished.
    this.pending.push(Buffer.from(rest));
  }
}
