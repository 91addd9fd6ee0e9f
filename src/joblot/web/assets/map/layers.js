// The picture in memory: one pixel per item, and layers in which a pixel is 2×2, 4×4, … items.
//
// Each layer holds ranks. A coarser one takes the highest of four, so that one failed item is seen
// at every size. Only the rows that changed are put together again.


/** Ten, a hundred or a thousand items per row, so that row and column read as the item's number.
 *
 * The nearest to a square: a tall or a wide strip is hard to look at. */
export function columnsFor(items) {
  return [10, 100, 1000].find((columns) => items <= columns * columns * 10 ** 0.5) ?? 1000;
}

export class Layers {
  constructor(legend) {
    this.legend = legend;
    this.layers = [];
    this.items = -1;
  }

  /** Take the cells of a picture; those from `from` to `to` have changed. */
  show({ cells, items, from, to }) {
    this.cells = cells;
    if (items !== this.items) this.resize(items);
    if (from < to) this.draw(Math.floor(from / this.columns), Math.ceil(to / this.columns));
  }

  resize(items) {
    this.items = items;
    this.columns = columnsFor(items);
    this.rows = Math.max(1, Math.ceil(items / this.columns));
    this.layers = [];
    for (let width = this.columns, height = this.rows; ; width = half(width), height = half(height)) {
      this.layers.push(layer(width, height));
      if (width <= 1 && height <= 1) break;
    }
  }

  /** Draw everything again: the colors or the chosen states are others. */
  redraw() {
    if (this.items > 0) this.draw(0, this.rows);
  }

  /** The layer whose pixels are 2 ** level items wide, as something to draw. */
  image(level) {
    return this.layers[Math.min(level, this.layers.length - 1)].canvas;
  }

  draw(firstRow, endRow) {
    const palette = this.legend.palette();
    this.rank(firstRow, endRow);
    let [first, end] = [firstRow, endRow];
    this.layers.forEach((one, level) => {
      if (level > 0) {
        [first, end] = [first >> 1, half(end)];
        gather(this.layers[level - 1], one, first, end);
      }
      paint(one, palette, first, end);
    });
  }

  rank(firstRow, endRow) {
    const { ranks } = this.layers[0];
    const { rankOf } = this.legend;
    const end = Math.min(endRow * this.columns, this.items);
    for (let n = firstRow * this.columns; n < end; n++) ranks[n] = rankOf[this.cells[n]];
  }
}

const half = (size) => (size + 1) >> 1;

function layer(width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  return { width, height, canvas, context, image, pixels: new Uint32Array(image.data.buffer), ranks: new Uint8Array(width * height) };
}

function gather(finer, coarser, firstRow, endRow) {
  const { ranks: from, width, height } = finer;
  for (let row = firstRow; row < endRow; row++) {
    const upper = 2 * row * width;
    const lower = 2 * row + 1 < height ? upper + width : upper;
    for (let column = 0; column < coarser.width; column++) {
      const left = 2 * column;
      const right = left + 1 < width ? left + 1 : left;
      coarser.ranks[row * coarser.width + column] = Math.max(
        from[upper + left], from[upper + right], from[lower + left], from[lower + right]);
    }
  }
}

function paint({ context, image, pixels, ranks, width }, palette, firstRow, endRow) {
  const end = endRow * width;
  for (let n = firstRow * width; n < end; n++) pixels[n] = palette[ranks[n]];
  context.putImageData(image, 0, 0, 0, firstRow, width, endRow - firstRow);
}

