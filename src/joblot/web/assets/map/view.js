// Which part of the picture is seen, and how large: between items and device pixels.

export const ZOOMS = [1 / 4, 1 / 2, 1, 2, 4, 8, 16, 24]; // device pixels per item

export class View {
  constructor() {
    this.width = this.height = 1; // of the canvas, in device pixels
    this.columns = this.rows = 1;
    this.zoom = 1;
    this.x = this.y = 0; // of the picture's corner, in device pixels; never fractions
    this.restX = this.restY = 0; // of moves, which may be fractions
    this.isFitted = true;
  }

  /** The largest zoom at which all items are seen, within this width and height. */
  fitting(width, height) {
    const fits = (zoom) => this.columns * zoom <= width && this.rows * zoom <= height;
    return ZOOMS.findLast(fits) ?? ZOOMS[0];
  }

  resize(width, height) {
    [this.width, this.height] = [width, height];
    this.settle();
  }

  fit() {
    this.zoom = this.fitting(this.width, this.height);
    this.isFitted = true;
    this.x = this.y = 0;
    this.settle();
  }

  /** Zoom by steps, so that what is at this point of the canvas stays there. */
  step(by, atX = this.width / 2, atY = this.height / 2) {
    const next = ZOOMS[Math.min(ZOOMS.length - 1, Math.max(0, ZOOMS.indexOf(this.zoom) + by))];
    const ratio = next / this.zoom;
    this.x = Math.round(atX - (atX - this.x) * ratio);
    this.y = Math.round(atY - (atY - this.y) * ratio);
    this.zoom = next;
    this.isFitted = false;
    this.settle();
  }

  moveBy(x, y) {
    const [toX, toY] = [this.x + this.restX + x, this.y + this.restY + y];
    [this.x, this.y] = [Math.round(toX), Math.round(toY)];
    [this.restX, this.restY] = [toX - this.x, toY - this.y];
    this.settle();
  }

  centerOn(column, row) {
    this.x = Math.round(this.width / 2 - column * this.zoom);
    this.y = Math.round(this.height / 2 - row * this.zoom);
    this.settle();
  }

  /** Keep the picture in sight: in the middle if it is smaller than the canvas, else over all of it. */
  settle() {
    this.x = kept(this.x, this.columns * this.zoom, this.width);
    this.y = kept(this.y, this.rows * this.zoom, this.height);
  }

  get isWhole() {
    return this.columns * this.zoom <= this.width && this.rows * this.zoom <= this.height;
  }

  /** The item at a point of the canvas; -1 if there is none. */
  itemAt(x, y, items) {
    const column = Math.floor((x - this.x) / this.zoom);
    const row = Math.floor((y - this.y) / this.zoom);
    const number = row * this.columns + column;
    const isInside = column >= 0 && column < this.columns && row >= 0 && number < items;
    return isInside ? number : -1;
  }

  /** The place of an item on the canvas: its corner, and its size. */
  placeOf(number) {
    const row = Math.floor(number / this.columns);
    const column = number % this.columns;
    return { x: this.x + column * this.zoom, y: this.y + row * this.zoom, size: this.zoom };
  }

  /** Move as little as is needed to see the item, with some of its neighbors. */
  reveal(number) {
    const { x, y, size } = this.placeOf(number);
    const margin = Math.min(this.width / 4, this.height / 4, 3 * size + 16);
    this.moveBy(shift(x, size, this.width, margin), shift(y, size, this.height, margin));
  }
}

function kept(at, size, within) {
  if (size <= within) return Math.floor((within - size) / 2);
  return Math.min(0, Math.max(within - Math.ceil(size), at));
}

function shift(at, size, within, margin) {
  if (at < margin) return margin - at;
  if (at + size > within - margin) return within - margin - at - size;
  return 0;
}
