// What is said of an item: the tip beside the pointer, and the sentence for those who listen.

const WAIT_MS = 150;

export class Says {
  /** `about(number)` is "480,113 of 1,000,000, failed"; `url(number)` returns an item's key and error. */
  constructor({ tip, spoken, about, url }) {
    Object.assign(this, { tip, spoken, about, url });
    this.known = new Map();
    this.number = -1;
  }

  /** The item under the pointer, at this point of the box, or -1. */
  point(number, x, y) {
    if (number !== this.number) {
      this.number = number;
      this.tip.hidden = number < 0;
      if (number >= 0) this.fill(number);
      clearTimeout(this.timer);
      if (number >= 0) this.timer = setTimeout(() => this.look(number), WAIT_MS);
    }
    if (number >= 0) this.place(x, y);
  }

  hide() {
    this.point(-1);
  }

  fill(number) {
    const [title, ...more] = this.tip.children;
    const item = this.known.get(number);
    title.textContent = this.about(number);
    more[0].textContent = item?.key ?? "";
    more[1].textContent = item?.error ? `${item.error.type}: ${item.error.message}` : "";
  }

  place(x, y) {
    const box = this.tip.parentElement;
    const left = Math.min(x + 14, box.clientWidth - this.tip.offsetWidth - 4);
    const above = y + 18 + this.tip.offsetHeight > box.clientHeight;
    this.tip.style.left = `${Math.max(4, left)}px`;
    this.tip.style.top = `${above ? Math.max(4, y - this.tip.offsetHeight - 10) : y + 18}px`;
  }

  async look(number) {
    await this.item(number);
    if (number === this.number) this.fill(number);
  }

  /** Say where the keyboard is; with the error, once it is known. */
  speak(number) {
    clearTimeout(this.speaking);
    this.speaking = setTimeout(async () => {
      const item = await this.item(number);
      const parts = [this.about(number), item?.error?.type, item?.key];
      this.spoken.textContent = `Item ${parts.filter(Boolean).join(", ")}`;
    }, WAIT_MS);
  }

  /** Forget what may have changed. */
  forget() {
    this.known.clear();
  }

  async item(number) {
    if (!this.known.has(number)) {
      const response = await fetch(this.url(number), { headers: { Accept: "application/json" } }).catch(() => null);
      if (response?.ok) this.known.set(number, await response.json());
    }
    return this.known.get(number);
  }
}
