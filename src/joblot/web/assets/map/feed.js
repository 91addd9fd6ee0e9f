// Getting the picture: once whole, then what has changed, while the page is seen.

import { decode } from "./decode.js";

const RETRY_MS = 5000;

export class Feed {
  /** `url` gives the picture; a new one is asked for every `seconds` until it is `final`. */
  constructor({ url, seconds, isFinal }, { show, fail }) {
    Object.assign(this, { url, seconds, isFinal, show, fail });
    this.tag = null;
    this.cells = null;
    document.addEventListener("visibilitychange", () => !document.hidden && this.timer === undefined && this.get());
  }

  async get() {
    clearTimeout(this.timer);
    this.timer = undefined;
    let wait = this.seconds * 1000;
    try {
      await this.fetch();
    } catch (error) {
      this.fail(error);
      wait = RETRY_MS;
      if (error.isRefusal) return;
    }
    if (!this.isFinal && !document.hidden) this.timer = setTimeout(() => this.next(), wait);
  }

  next() {
    if (document.documentElement.dataset.updates === "paused") {
      this.timer = setTimeout(() => this.next(), this.seconds * 1000);
    } else {
      this.get();
    }
  }

  async fetch() {
    const response = await fetch(this.tag ? withBase(this.url, this.tag) : this.url, { headers: { Accept: "*/*" } });
    if (!response.ok) throw await refusal(response);
    const picture = decode(await response.arrayBuffer(), this.cells);
    this.cells = picture.cells;
    this.tag = response.headers.get("ETag").replace(/^W\/|"/g, "");
    this.isFinal = response.headers.get("Joblot-Map") === "final";
    this.show(picture);
  }
}

function withBase(url, tag) {
  return `${url}${url.includes("?") ? "&" : "?"}base=${tag}`;
}

/** Errors of the server have a sentence for people. A refusal won't change by asking again. */
async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  const error = new Error(problem.detail ?? `The server answered ${response.status}.`);
  error.isRefusal = response.status < 500 && response.status !== 429;
  return error;
}
