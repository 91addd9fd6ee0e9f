// Drawing: what is seen of the picture, at the zoom of the view, and the small picture of the whole.

const GAPS_FROM = 8; // device pixels per item
const GLYPHS_FROM = 16;
const SMALL_MAX = 128; // pixels of the small picture's longer side

export class Canvas {
  constructor(element, layers, view, legend) {
    Object.assign(this, { element, layers, view, legend });
    this.context = element.getContext("2d", { alpha: false });
  }

  /** As large as its element, in device pixels. */
  resize() {
    const ratio = devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.element;
    this.element.width = Math.max(1, Math.round(clientWidth * ratio));
    this.element.height = Math.max(1, Math.round(clientHeight * ratio));
    this.view.resize(this.element.width, this.element.height);
  }

  /** Draw; `current` is the item with a ring around it, or -1. */
  draw(current) {
    const { context, view, legend, layers } = this;
    context.fillStyle = css(legend.background);
    context.fillRect(0, 0, view.width, view.height);
    if (layers.items <= 0) return;
    const seen = this.seen();
    this.drawItems(seen);
    if (view.zoom >= GAPS_FROM) this.drawGaps(seen);
    if (view.zoom >= GLYPHS_FROM) this.drawGlyphs(seen);
    this.drawEdge();
    if (current >= 0) this.drawRing(current);
  }

  /** The columns and rows of which any part is on the canvas. */
  seen() {
    const { x, y, zoom, width, height, columns, rows } = this.view;
    return {
      left: Math.max(0, Math.floor(-x / zoom)),
      top: Math.max(0, Math.floor(-y / zoom)),
      right: Math.min(columns, Math.ceil((width - x) / zoom)),
      bottom: Math.min(rows, Math.ceil((height - y) / zoom)),
    };
  }

  drawItems({ left, top, right, bottom }) {
    const { x, y, zoom } = this.view;
    this.context.imageSmoothingEnabled = false;
    if (zoom < 1) {
      this.context.drawImage(this.layers.image(Math.log2(1 / zoom)), x, y);
      return;
    }
    const [columns, rows] = [right - left, bottom - top];
    this.context.drawImage(this.layers.image(0), left, top, columns, rows,
      x + left * zoom, y + top * zoom, columns * zoom, rows * zoom);
  }

  drawGaps({ left, top, right, bottom }) {
    const { context, legend } = this;
    const { x, y, zoom } = this.view;
    const gap = zoom >= GLYPHS_FROM ? 2 : 1;
    context.fillStyle = css(legend.background);
    for (let column = left; column <= right; column++) {
      context.fillRect(x + column * zoom - gap, y + top * zoom, gap, (bottom - top) * zoom);
    }
    for (let row = top; row <= bottom; row++) {
      context.fillRect(x + left * zoom, y + row * zoom - gap, (right - left) * zoom, gap);
    }
  }

  drawGlyphs({ left, top, right, bottom }) {
    const { context, layers, legend, view } = this;
    context.font = `600 ${Math.round(view.zoom * 0.62)}px system-ui, sans-serif`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    const inks = legend.colors.map((color, code) => (legend.isDimmed(code) ? css(legend.color(code)) : ink(color)));
    for (let row = top; row < bottom; row++) {
      const end = Math.min(row * view.columns + right, layers.items);
      for (let number = row * view.columns + left; number < end; number++) {
        const code = layers.cells[number];
        const { x, y, size } = view.placeOf(number);
        context.fillStyle = inks[code];
        context.fillText(legend.glyph(code), x + size / 2 - 1, y + size / 2);
      }
    }
  }

  drawEdge() {
    const { x, y, zoom, columns } = this.view;
    const { context, layers } = this;
    const full = Math.floor(layers.items / columns);
    const rest = layers.items % columns;
    const [right, bottom] = [x + columns * zoom + 0.5, y + full * zoom + 0.5];
    context.strokeStyle = css(this.edge);
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x - 0.5, y - 0.5);
    if (full > 0) {
      context.lineTo(right, y - 0.5);
      context.lineTo(right, bottom);
    }
    if (rest > 0) {
      const step = x + rest * zoom + 0.5;
      context.lineTo(step, full > 0 ? bottom : y - 0.5);
      context.lineTo(step, bottom + zoom);
      context.lineTo(x - 0.5, bottom + zoom);
    } else {
      context.lineTo(x - 0.5, bottom);
    }
    context.closePath();
    context.stroke();
  }

  drawRing(number) {
    const { x, y, size } = this.view.placeOf(number);
    const { context } = this;
    const grown = Math.max(size, 6);
    const at = (grown - size) / 2;
    for (const [color, width] of [[this.legend.background, 6], [this.focus, 3]]) {
      context.strokeStyle = css(color);
      context.lineWidth = width;
      context.strokeRect(x - at - 2, y - at - 2, grown + 4, grown + 4);
    }
  }
}

/** The whole picture in a corner, with a frame around what is seen; hidden if all is. */
export class Small {
  constructor(element, layers, view, moved) {
    Object.assign(this, { element, layers, view });
    this.context = element.getContext("2d");
    const go = (event) => {
      const { columns, rows } = view;
      view.centerOn((event.offsetX / element.clientWidth) * columns, (event.offsetY / element.clientHeight) * rows);
      moved();
    };
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      go(event);
    });
    element.addEventListener("pointermove", (event) => event.buttons && go(event));
  }

  draw() {
    const { element, context, view, layers } = this;
    element.hidden = layers.items <= 0 || view.isWhole;
    if (element.hidden) return;
    const level = Math.max(0, Math.ceil(Math.log2(Math.max(view.columns, view.rows) / SMALL_MAX)));
    const image = layers.image(level);
    if (element.width !== image.width || element.height !== image.height) {
      [element.width, element.height] = [image.width, image.height];
      element.style.width = `${Math.max(16, image.width)}px`;
      element.style.height = `${Math.max(16, image.height)}px`;
    }
    context.imageSmoothingEnabled = false;
    context.clearRect(0, 0, image.width, image.height);
    context.drawImage(image, 0, 0);
    const scale = 1 / (view.zoom * 2 ** level);
    context.strokeStyle = css(this.focus);
    context.lineWidth = 2;
    context.strokeRect(
      Math.max(0, -view.x * scale), Math.max(0, -view.y * scale),
      Math.min(image.width, view.width * scale), Math.min(image.height, view.height * scale));
  }
}

const css = ([red, green, blue]) => `rgb(${red} ${green} ${blue})`;

/** Black or white, whichever is read better on the color. */
function ink([red, green, blue]) {
  return 0.299 * red + 0.587 * green + 0.114 * blue > 140 ? "#15191e" : "#ffffff";
}
