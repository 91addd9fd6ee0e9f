// The keyboard: no single key changes a job. Other modules add keys with `onKey`.

import { prefer, shownTheme } from "./preferences.js";

const root = document.documentElement;
const PREFIX_MS = 1500;
const LINKS = { m: "map", l: "logs", w: "why", f: "next-failed", F: "previous-failed" };
const handlers = new Map();
let prefixUntil = 0;

/** Call `handler` for a key; `g` followed by a key is "g" + key. A later handler replaces it. */
export function onKey(key, handler) {
  handlers.set(key, handler);
}

export function startKeys() {
  onKey("?", () => help()?.showModal());
  onKey("t", () => prefer("theme", shownTheme() === "dark" ? "light" : "dark"));
  onKey("/", () => document.querySelector("[data-filter]")?.focus());
  onKey("gj", () => go("jobs"));
  onKey("gw", () => go("workers"));
  onKey("j", () => step(1));
  onKey("k", () => step(-1));
  onKey("Enter", open);
  onKey("x", select);
  for (const [key, name] of Object.entries(LINKS)) onKey(key, () => follow(name));
  document.addEventListener("keydown", pressed);
  document.querySelector("[data-close]")?.addEventListener("click", () => help().close());
  for (const link of document.querySelectorAll(".keys-link")) {
    link.hidden = false;
    link.addEventListener("click", (event) => {
      event.preventDefault();
      help().showModal();
    });
  }
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (root.dataset.keys === "off" || isTyping(event.target) || document.querySelector("dialog[open]")) return;
  const prefixed = performance.now() < prefixUntil;
  prefixUntil = 0;
  if (event.key === "g" && !prefixed) {
    prefixUntil = performance.now() + PREFIX_MS;
    return;
  }
  const handler = handlers.get(prefixed ? `g${event.key}` : event.key);
  if (handler && handler(event) !== false) event.preventDefault();
}

function isTyping(target) {
  const typed = "input:not([type=checkbox]), select, textarea, [contenteditable], [role=application]";
  return target.closest?.(typed) !== null;
}

const help = () => document.getElementById("keys-help");
const rows = () => [...document.querySelectorAll("[data-row]")];
const current = () => document.querySelector("[data-row].current") ?? document.activeElement.closest("[data-row]");

function go(name) {
  const link = document.querySelector(`nav [data-go="${name}"]`);
  if (link) location.href = link.href;
}

/** Follow the page's own link with this `data-key`: to a section, or to another page. */
function follow(name) {
  const link = document.querySelector(`a[data-key="${name}"]`);
  if (!link) return false;
  link.click();
}

function step(by) {
  const all = rows();
  if (!all.length) return false;
  const at = all.indexOf(current());
  const next = all[Math.min(all.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
  current()?.classList.remove("current");
  next.classList.add("current");
  next.querySelector("a")?.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

/** Enter on a focused control is the browser's own. */
function open(event) {
  if (event.target.closest("a, button, summary, input")) return false;
  const link = current()?.querySelector("a");
  if (!link) return false;
  link.click();
}

function select() {
  const box = current()?.querySelector("input[type=checkbox]");
  if (!box) return false;
  box.click();
}
