// The legend: the words, signs and colors of the codes, and buttons that dim all other states.

const VOID = 8; // a place behind the last item
// The codes from the least to the most urgent, by the id of the legend: a job or a stage, a canceled job.
const BY_URGENCY = { 0: [3, 7, 0, 6, 1, 2, 5, 4], 1: [7, 3, 6, 0, 1, 2, 5, 4], 2: [3, 7, 0, 6, 1, 2, 5, 4] };
const DIMMED = 0.13; // of a color, over the background

export class Legend {
  /** `root` holds a button per code, with data-code and a swatch; `changed` is called after a press. */
  constructor(root, id, changed) {
    this.root = root;
    this.id = id;
    this.buttons = new Map();
    for (const button of root.querySelectorAll("[data-code]")) {
      this.buttons.set(Number(button.dataset.code), button);
      button.addEventListener("click", () => {
        button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
        this.readStates();
        changed();
      });
    }
    this.readStates();
    this.readColors();
  }

  word(code) {
    return this.buttons.get(code)?.dataset.word ?? "";
  }

  glyph(code) {
    return this.buttons.get(code)?.dataset.glyph ?? "";
  }

  showCounts(counts) {
    for (const [code, button] of this.buttons) {
      button.querySelector("[data-count]").textContent = counts[code].toLocaleString("en-US");
    }
  }

  /** The rank of each code: of several items in a dot, the one of the highest rank is shown. */
  readStates() {
    const pressed = [...this.buttons].filter(([, button]) => button.getAttribute("aria-pressed") === "true");
    this.chosen = new Set(pressed.map(([code]) => code));
    this.rankOf = new Uint8Array(VOID + 1);
    this.codeOf = new Uint8Array(17).fill(VOID);
    BY_URGENCY[this.id].forEach((code, urgency) => {
      const rank = urgency + 1 + (this.chosen.has(code) ? 8 : 0);
      this.rankOf[code] = rank;
      this.codeOf[rank] = code;
    });
  }

  isDimmed(code) {
    return this.chosen.size > 0 && !this.chosen.has(code);
  }

  /** The colors of the style sheet, as it resolves them for the theme. */
  readColors() {
    this.background = rgb(getComputedStyle(this.root.closest("[data-map]")).backgroundColor);
    this.colors = [];
    for (const [code, button] of this.buttons) {
      this.colors[code] = rgb(getComputedStyle(button.querySelector("[data-swatch]")).backgroundColor);
    }
  }

  /** The color of a code as it is drawn now: [red, green, blue]. */
  color(code) {
    const own = this.colors[code] ?? this.background;
    if (!this.isDimmed(code)) return own;
    return own.map((part, n) => Math.round(this.background[n] + (part - this.background[n]) * DIMMED));
  }

  /** By rank, the color as an ImageData holds it. */
  palette() {
    const pixels = new Uint32Array(17);
    for (let rank = 1; rank < 17; rank++) {
      const code = this.codeOf[rank];
      if (code === VOID) continue;
      const [red, green, blue] = this.color(code);
      pixels[rank] = ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
    }
    return pixels;
  }
}

export function rgb(css) {
  return css.match(/[\d.]+/g).slice(0, 3).map(Number);
}
