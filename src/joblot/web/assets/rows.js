// A list of jobs that keeps up: only the unfinished rows that can be seen, by one request.
// Rows change in place and never move.
//
//   data-rows="…"        the URL of the snapshots, on the element that holds all rows, with
//   data-as-of="…"       when they were read,
//   data-filter-of-rows  and the filter of the list, by which new jobs are counted
//   data-job="7"         a row, with its fields (see fields.js)
//   data-is-final        a row of a job whose run has ended
//   data-rows-newest="9" a hidden link, which says how many jobs are newer than this, and shows them

import { clock, isSelected, write } from "./fields.js";
import { onKey } from "./keys.js";

const EVERY_MS = 2_000;
const LOST_MS = 20_000; // without an answer, after which the page says so
const ANSWER_MS = 10_000;

class Rows {
  constructor(root) {
    this.root = root;
    this.visible = new Set();
    this.keys = new Map();
    this.isPaused = false;
    this.asOf = root.dataset.asOf;
    this.newest = document.querySelector("[data-rows-newest]");
    this.answeredAt = performance.now();
    const seen = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) this.visible[isIntersecting ? "add" : "delete"](target);
    });
    for (const row of root.querySelectorAll("[data-job]")) seen.observe(row);
  }

  due() {
    return [...this.visible].filter((row) => !("isFinal" in row.dataset));
  }

  async update() {
    if (document.hidden || this.isPaused) {
      this.answeredAt = performance.now();
      return;
    }
    const rows = this.due();
    const url = new URL(this.root.dataset.rows, location.href);
    url.searchParams.set("ids", rows.map((row) => row.dataset.job).join(","));
    if (this.newest) url.searchParams.set("newest", this.newest.dataset.rowsNewest);
    if (this.newest) url.searchParams.set("filter", this.root.dataset.filterOfRows);
    const { status, jobs, newer } = await ask(url);
    if (status === 200) {
      this.answeredAt = performance.now();
      this.show(rows, jobs);
      this.announce(newer);
      if (jobs.length) this.asOf = jobs[0].as_of;
      this.say("live", "Live");
    } else if (status === 401 || status === 403) this.say("signed-out", "Signed out. Reload the page to sign in.");
    else if (performance.now() - this.answeredAt > LOST_MS) this.lose();
  }

  /** A row that is selected is left as it is; so is one whose job is gone. */
  show(rows, jobs) {
    const byId = new Map(jobs.map((job) => [String(job.id), job]));
    for (const row of rows) {
      const job = byId.get(row.dataset.job);
      if (!job || isSelected(row)) continue;
      write(row, job);
      if (job.is_final) row.dataset.isFinal = "";
    }
    document.dispatchEvent(new CustomEvent("joblot:rows", { detail: jobs }));
  }

  /** The list does not move by itself. */
  announce(newer) {
    if (!this.newest || !newer) return;
    const text = `${newer} new job${newer === 1 ? "" : "s"} · show`;
    if (this.newest.textContent !== text) this.newest.textContent = text;
    this.newest.hidden = false;
  }

  lose() {
    this.say("lost", `Not live. Last true at ${clock(this.asOf)}. Retrying.`);
  }

  pause() {
    this.isPaused = !this.isPaused;
    for (const button of document.querySelectorAll("[data-live-pause]")) {
      button.setAttribute("aria-pressed", String(this.isPaused));
    }
    if (this.isPaused) this.say("paused", `Paused. True at ${clock(this.asOf)}.`);
    else this.update();
  }

  say(state, text) {
    for (const element of document.querySelectorAll("[data-live-state]")) {
      if (element.textContent !== text) element.textContent = text;
      element.dataset.liveState = state;
    }
  }
}

async function ask(url) {
  try {
    const answer = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
    return { status: answer.status, ...(answer.ok ? await answer.json() : {}) };
  } catch {
    return { status: 0 };
  }
}

async function run(rows) {
  await rows.update();
  setTimeout(() => run(rows), EVERY_MS);
}

const root = document.querySelector("[data-rows]");
if (root) {
  const rows = new Rows(root);
  for (const button of document.querySelectorAll("[data-live-pause]")) {
    button.hidden = false;
    button.addEventListener("click", () => rows.pause());
  }
  onKey("p", () => rows.pause());
  window.addEventListener("offline", () => rows.lose());
  window.addEventListener("online", () => rows.update());
  setTimeout(() => run(rows), EVERY_MS);
}
