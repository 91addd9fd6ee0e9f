// The picture of all items of a job: one cell per item. The page works without it, by its table.

import { Canvas, Small } from "./map/canvas.js";
import { CHANGES } from "./map/decode.js";
import { Feed } from "./map/feed.js";
import { listenToKeys, listenToPointer } from "./map/input.js";
import { Layers } from "./map/layers.js";
import { Legend, rgb } from "./map/legend.js";
import { Says } from "./map/says.js";
import { View } from "./map/view.js";

const FAILED = 4;
const LOST = 5;
const HEIGHT_SHARE = 0.65; // of the window, at most
const HEIGHT_MIN = 120;
const CENTERED_ZOOM = 16; // device pixels per item, at which its sign is drawn

export class ItemMap {
  constructor(root) {
    this.root = root;
    this.data = root.dataset;
    this.first = Number(this.data.first);
    this.current = -1;
    this.usesKeys = false;
    this.legend = new Legend(root.querySelector("[data-legend]"), Number(this.data.legendId), () => this.redraw());
    this.layers = new Layers(this.legend);
    this.view = new View();
    this.element = root.querySelector("[data-canvas]");
    this.canvas = new Canvas(this.element, this.layers, this.view, this.legend);
    this.small = new Small(root.querySelector("[data-small]"), this.layers, this.view, () => this.draw());
    this.says = new Says({
      tip: root.querySelector("[data-tip]"),
      spoken: root.querySelector("[data-spoken]"),
      about: (number) => this.about(number),
      url: (number) => `${this.data.itemInfo}${this.first + number}`,
    });
    this.listen();
    this.readTheme();
    performance.mark("joblot-map-start");
    this.feed = new Feed(
      { url: this.data.url, seconds: Number(this.data.seconds), isFinal: false },
      { show: (picture) => this.show(picture), fail: (error) => this.fail(error) });
    this.feed.get();
  }

  /** Show a picture that was fetched. */
  show(picture) {
    if (picture.legend !== this.legend.id) return location.reload(); // its words are in the page
    const isNew = picture.items !== this.layers.items;
    this.layers.show(picture);
    this.legend.showCounts(picture.counts);
    this.says.forget();
    this.note("");
    if (isNew) this.fitAnew();
    if (this.data.centered) this.center(Number(this.data.centered) - this.first);
    this.draw();
    requestAnimationFrame(() => this.painted(picture));
  }

  painted(picture) {
    const isFirst = performance.getEntriesByName("joblot-map-painted").length === 0;
    if (isFirst) performance.measure("joblot-map-painted", "joblot-map-start");
    this.data.shown = picture.encoding === CHANGES ? "changes" : "whole";
    this.data.asOf = picture.asOf.toISOString();
    this.root.dispatchEvent(new CustomEvent("joblot-map", { bubbles: true, detail: { picture } }));
  }

  fail(error) {
    this.note(`Not live: ${error.message}`);
  }

  note(text) {
    const note = this.root.querySelector("[data-note]");
    if (note.textContent !== text) note.textContent = text;
    note.hidden = !text;
  }

  fitAnew() {
    [this.view.columns, this.view.rows] = [this.layers.columns, this.layers.rows];
    this.resize();
  }

  /** Begin at the item that the address names, in the middle and large enough to be seen. */
  center(number) {
    delete this.data.centered;
    if (number < 0 || number >= this.layers.items) return;
    while (this.view.zoom < CENTERED_ZOOM) this.view.step(1);
    this.view.centerOn((number % this.view.columns) + 0.5, Math.floor(number / this.view.columns) + 0.5);
    this.current = number;
    this.element.focus();
    this.go(number);
  }

  /** The canvas is as high as the picture at the zoom at which it fits, within the window. */
  resize() {
    const ratio = devicePixelRatio || 1;
    const most = Math.max(HEIGHT_MIN, innerHeight * HEIGHT_SHARE);
    const zoom = this.view.fitting(this.element.clientWidth * ratio - 4, most * ratio - 4);
    const height = (this.view.rows * zoom) / ratio + 16;
    this.element.style.height = `${Math.round(Math.min(most, Math.max(HEIGHT_MIN, height)))}px`;
    this.canvas.resize();
    if (this.view.isFitted) this.view.fit();
  }

  redraw() {
    this.layers.redraw();
    this.draw();
  }

  draw() {
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = 0;
      this.drawNow();
    });
  }

  drawNow() {
    this.canvas.draw(this.usesKeys && document.activeElement === this.element ? this.current : -1);
    this.small.draw();
    this.showScale();
  }

  showScale() {
    const { zoom } = this.view;
    const items = Math.round(1 / zoom) ** 2;
    this.root.querySelector("[data-scale]").textContent = zoom < 1
      ? `One dot is up to ${items} items and shows the most urgent of them.`
      : `One item is ${zoom} × ${zoom} pixels; a row is ${this.view.columns.toLocaleString("en-US")} items.`;
  }

  readTheme() {
    const shown = getComputedStyle(this.root);
    this.legend.readColors();
    this.canvas.edge = rgb(shown.borderTopColor);
    this.canvas.focus = this.small.focus = rgb(shown.outlineColor);
    this.redraw();
  }

  listen() {
    listenToPointer(this.element, {
      zoom: (steps, x, y) => this.zoom(steps, x, y),
      move: (x, y) => this.move(x, y),
      point: (x, y) => this.says.point(this.itemAt(x, y), x, y),
      leave: () => this.says.hide(),
      open: (x, y, isTouch) => this.press(x, y, isTouch),
    });
    listenToKeys(this.element, this.keys());
    for (const button of this.root.querySelectorAll("[data-zoom]")) {
      button.addEventListener("click", () => this.zoomButton(button.dataset.zoom));
    }
    new ResizeObserver(() => {
      if (this.layers.items > 0) this.resize();
      this.draw();
    }).observe(this.element.parentElement);
    new MutationObserver(() => this.readTheme()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.readTheme());
    window.addEventListener("beforeprint", () => {
      this.readTheme();
      this.drawNow();
    });
    for (const kind of ["focus", "blur"]) this.element.addEventListener(kind, () => this.draw());
    this.element.addEventListener("focus", () => this.focused());
  }

  keys() {
    const row = () => this.view.columns;
    return {
      ArrowLeft: () => this.go(this.current - 1),
      ArrowRight: () => this.go(this.current + 1),
      ArrowUp: () => this.go(this.current - row()),
      ArrowDown: () => this.go(this.current + row()),
      Home: () => this.go(0),
      End: () => this.go(this.layers.items - 1),
      f: () => this.goFailed(1),
      F: () => this.goFailed(-1),
      Enter: () => this.current >= 0 && this.open(this.current),
      Escape: () => this.says.hide(),
      "+": () => this.zoomAtCurrent(1),
      "=": () => this.zoomAtCurrent(1),
      "-": () => this.zoomAtCurrent(-1),
      0: () => this.fit(),
    };
  }

  /** Tab came here: begin at the first item. A press of the pointer also gives the focus. */
  focused() {
    if (!this.element.matches(":focus-visible")) this.usesKeys = false;
    else this.go(Math.max(0, this.current));
  }

  /** To an item, if there is one: the ring, the view and the voice. */
  go(number) {
    if (number < 0 || number >= this.layers.items) return;
    this.current = number;
    this.usesKeys = true;
    this.view.reveal(number);
    this.says.speak(number);
    this.draw();
  }

  goFailed(by) {
    const { cells, items } = this.layers;
    const from = this.current < 0 && by < 0 ? items : this.current;
    for (let step = 1; step <= items; step++) {
      const number = (((from + by * step) % items) + items) % items;
      if (cells[number] === FAILED || cells[number] === LOST) return this.go(number);
    }
    this.says.spoken.textContent = "No item has failed or was lost.";
  }

  about(number) {
    const [at, of] = [this.first + number, Number(this.data.total)].map((one) => one.toLocaleString("en-US"));
    return `${at} of ${of}, ${this.legend.word(this.layers.cells[number])}`;
  }

  itemAt(x, y) {
    const ratio = this.element.width / this.element.clientWidth;
    return this.view.itemAt(x * ratio, y * ratio, Math.max(0, this.layers.items));
  }

  /** A click opens the item. A finger first shows what it is. */
  press(x, y, isTouch) {
    const number = this.itemAt(x, y);
    if (number < 0) return;
    if (isTouch && this.says.number !== number) return this.says.point(number, x, y);
    this.open(number);
  }

  open(number) {
    location.href = `${this.data.items}${this.first + number}`;
  }

  zoom(steps, x, y) {
    const ratio = this.element.width / this.element.clientWidth;
    this.view.step(steps, x * ratio, y * ratio);
    this.says.hide();
    this.draw();
  }

  zoomAtCurrent(steps) {
    const place = this.current < 0 ? null : this.view.placeOf(this.current);
    if (place) this.view.step(steps, place.x + place.size / 2, place.y + place.size / 2);
    else this.view.step(steps);
    if (place) this.view.reveal(this.current);
    this.draw();
  }

  zoomButton(to) {
    if (to === "0") this.fit();
    else this.zoomAtCurrent(Number(to));
  }

  move(x, y) {
    const ratio = this.element.width / this.element.clientWidth;
    this.view.isFitted = false;
    this.view.moveBy(x * ratio, y * ratio);
    this.says.hide();
    this.draw();
  }

  fit() {
    this.view.fit();
    this.draw();
  }
}

for (const root of document.querySelectorAll("[data-map]")) root.itemMap = new ItemMap(root);
