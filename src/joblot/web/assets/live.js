// A page that follows a job: every number on it is from one snapshot, which was true at one time.
//
//   data-live="…"         the stream's URL, on the element that holds all fields (see fields.js),
//   data-snapshot="…"     with that of a single snapshot,
//   data-key="1.0.…"      and the key of the snapshot that the page was made from
//   data-live-state       the element in which people read whether the page is live
//   data-live-pause       the button that pauses updates
//
// Others on the page can listen to "joblot:snapshot", whose detail is the snapshot shown.

import { Connection } from "./connection.js";
import { clock, isSelected, write } from "./fields.js";
import { onKey } from "./keys.js";

const HELD_MS = 250; // between checks whether text is still selected

class Live {
  constructor(root) {
    this.root = root;
    this.key = parse(root.dataset.key);
    this.text = root.dataset.key;
    this.asOf = root.dataset.asOf;
    this.settled = [];
    this.isPaused = false;
    this.connection = new Connection({
      stream: root.dataset.live,
      snapshot: root.dataset.snapshot,
      seen: () => this.text,
      take: (snapshot) => this.take(snapshot),
      say: (state) => this.say(state),
    });
  }

  /** Run while people can see it, and want to. */
  run() {
    if (document.hidden || this.isPaused) this.connection.stop();
    else this.connection.start();
  }

  pause() {
    this.isPaused = !this.isPaused;
    this.run();
    for (const button of document.querySelectorAll("[data-live-pause]")) {
      button.setAttribute("aria-pressed", String(this.isPaused));
    }
    this.say(this.isPaused ? "paused" : "joining");
  }

  /** Show a snapshot, unless it is older than what is shown. While text is selected, it waits. */
  take(snapshot) {
    if (!this.isNewer(snapshot)) return;
    clearTimeout(this.held);
    if (isSelected(this.root)) {
      this.held = setTimeout(() => this.take(snapshot), HELD_MS);
      return;
    }
    this.last = snapshot;
    write(this.root, snapshot);
    this.key = parse(snapshot.key);
    this.text = snapshot.key;
    this.asOf = snapshot.as_of;
    this.settled = snapshot.stages.map((stage) => stage.settled);
    document.dispatchEvent(new CustomEvent("joblot:snapshot", { detail: snapshot }));
  }

  isNewer(snapshot) {
    const key = parse(snapshot.key);
    const differs = key.findIndex((number, n) => number !== this.key[n]);
    if (differs < 0 || key[differs] < this.key[differs]) return false;
    const isOfTheRun = key[0] === this.key[0];
    return !(isOfTheRun && snapshot.stages.some((stage, n) => stage.settled < (this.settled[n] ?? 0)));
  }

  say(state) {
    for (const element of document.querySelectorAll("[data-live-state]")) {
      const text = this.statusText(state);
      if (element.textContent !== text) element.textContent = text;
      element.dataset.liveState = state;
    }
  }

  statusText(state) {
    switch (state) {
      case "live": return "Live";
      case "polling": return "Live, every 5 s";
      case "joining": return "…";
      case "paused": return `Paused. True at ${clock(this.asOf)}.`;
      case "signed-out": return `Signed out. Last true at ${clock(this.asOf)}. Reload the page to sign in.`;
      case "gone": return "This job was deleted.";
      default: return `Not live. Last true at ${clock(this.asOf)}. Retrying.`;
    }
  }
}

function parse(key) {
  return key.split(".").map(Number);
}

function start(root) {
  const live = new Live(root);
  for (const button of document.querySelectorAll("[data-live-pause]")) {
    button.hidden = false;
    button.addEventListener("click", () => live.pause());
  }
  onKey("p", () => live.pause());
  document.addEventListener("visibilitychange", () => live.run());
  document.addEventListener("joblot:preference", () => live.last && write(root, live.last));
  window.addEventListener("pagehide", () => live.connection.stop());
  window.addEventListener("pageshow", () => live.run());
  window.addEventListener("offline", () => live.connection.lose());
  window.addEventListener("online", () => live.connection.retry());
  live.run();
}

const root = document.querySelector("[data-live][data-key]");
if (root) start(root);
