// Follows the log of a job: with each snapshot of the page, the lines that are new are asked for.
// It holds no connection of its own, and pauses when the page's updates do.
//
//   data-log="…"      the address of the lines, on the element that holds their box
//   data-log-box      the box; it scrolls from its end, so there it is at 0, and negative above
//   data-log-empty    what is shown instead of an empty box
//   data-log-follow   the button that begins to follow; to scroll up ends it
//   data-line="…"     a line, by its id

import { showTimes } from "./times.js";

const OVERLAP = 20; // lines asked for again: one that is written late may belong before them
const LINES_MAX = 2_000; // kept while following
const AT_END_PX = 8;
const ANSWER_MS = 10_000;

class Log {
  constructor(root, button) {
    this.root = root;
    this.button = button;
    this.box = root.querySelector("[data-log-box]");
    this.list = this.box.querySelector("ol");
    this.isFollowing = this.isAsking = false;
    button.hidden = false;
    button.addEventListener("click", () => this.follow(!this.isFollowing));
    this.box.addEventListener("scroll", () => this.isAtEnd || this.follow(false));
    document.addEventListener("joblot:snapshot", () => this.isFollowing && this.update());
  }

  get isAtEnd() {
    return this.box.scrollTop > -AT_END_PX;
  }

  follow(isFollowing) {
    if (this.isFollowing === isFollowing) return;
    this.isFollowing = isFollowing;
    this.button.setAttribute("aria-pressed", String(isFollowing));
    if (!isFollowing) return;
    this.box.scrollTop = 0;
    this.update();
  }

  /** Page after page, as long as there are more. A failure is tried again with the next snapshot. */
  async update() {
    if (this.isAsking) return;
    this.isAsking = true;
    const lines = [...this.list.children];
    let after = (lines.at(-1 - OVERLAP) ?? lines[0])?.dataset.line ?? "0";
    try {
      while (after !== undefined && this.isFollowing) after = this.show(await ask(this.root.dataset.log, after), after);
    } catch {
      // the page says by itself that it is not live
    } finally {
      this.isAsking = false;
    }
  }

  /** Put the lines that are new where they belong, `after` a line or another; returns behind which
   * line there are more. */
  show(box, after) {
    const shown = new Map([...this.list.children].map((line) => [line.dataset.line, line]));
    let place = shown.get(after);
    for (const line of box.querySelectorAll("[data-line]")) {
      const known = shown.get(line.dataset.line);
      if (!known && place) place.after(line);
      else if (!known) this.list.append(line);
      place = known ?? line;
    }
    while (this.list.children.length > LINES_MAX) this.list.firstElementChild.remove();
    this.root.querySelector("[data-log-empty]").hidden = this.list.children.length > 0;
    showTimes(this.list);
    return box.dataset.next;
  }
}

async function ask(url, after) {
  const where = new URL(url, location.href);
  where.searchParams.set("after", after);
  const answer = await fetch(where, { headers: { Accept: "text/html" }, cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
  if (!answer.ok || answer.redirected) throw new Error(`status ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return page.querySelector("[data-log-box]");
}

const root = document.querySelector("[data-log]");
const button = document.querySelector("[data-log-follow]");
if (root && button) new Log(root, button);
