// The bytes of a picture, application/vnd.joblot.map: see docs/reference/map.md.

const HEADER_BYTES = 56;
const MAGIC = 0x4a4c4d31; // JLM1
const READERS = [unpack, runs, changes];
export const CHANGES = 2;

/** A picture: its header, its `cells`, and the items `from` to `to` (not included) that changed.
 *
 * Where the bytes hold changes only, they are made in `base`, the cells of the picture before. */
export function decode(buffer, base = null) {
  const view = new DataView(buffer);
  if (buffer.byteLength < HEADER_BYTES || view.getUint32(0) !== MAGIC) throw new Error("not a map");
  const encoding = view.getUint8(4);
  const items = view.getUint32(8, true);
  const body = new Uint8Array(buffer, HEADER_BYTES);
  return {
    encoding,
    legend: view.getUint8(5),
    items,
    run: view.getUint32(12, true),
    asOf: new Date(Number(view.getBigUint64(16, true) / 1000n)),
    counts: Array.from({ length: 8 }, (_, code) => view.getUint32(24 + 4 * code, true)),
    ...READERS[encoding](body, items, base),
  };
}

/** Three bits per item: eight items in three bytes. */
function unpack(body, items) {
  const cells = new Uint8Array(items);
  let at = 0;
  for (let byte = 0; at < items; byte += 3) {
    const bits = (body[byte] << 16) | (body[byte + 1] << 8) | body[byte + 2];
    for (let shift = 21; shift >= 0 && at < items; shift -= 3) cells[at++] = (bits >> shift) & 7;
  }
  return { cells, from: 0, to: items };
}

function runs(body, items) {
  const cells = new Uint8Array(items);
  const numbers = new Varints(body);
  for (let at = 0; at < items; ) {
    const run = numbers.next();
    cells.fill(run & 7, at, at + (run >>> 3));
    at += run >>> 3;
  }
  return { cells, from: 0, to: items };
}

function changes(body, items, cells) {
  if (cells?.length !== items) throw new Error("changes of another map");
  const numbers = new Varints(body);
  let at = 0;
  let from = items;
  while (numbers.more) {
    at += numbers.next();
    const run = numbers.next();
    from = Math.min(from, at);
    cells.fill(run & 7, at, at + (run >>> 3));
    at += run >>> 3;
  }
  return { cells, from: Math.min(from, at), to: at };
}

/** Numbers of seven bits per byte, the lowest bits first. */
class Varints {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  get more() {
    return this.at < this.bytes.length;
  }

  next() {
    let number = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.bytes[this.at++];
      number |= (byte & 0x7f) << shift;
      if (byte < 0x80) return number >>> 0;
    }
  }
}
