// Writes a snapshot into a page. An element says by its attributes what it shows:
//
//   data-f="stages.0.failed"       its text: a path into the snapshot
//   data-as="percent"              how that is written: percent, rounded, clock, minute, or as it
//                                  is; numbers get their thousands separated
//   data-f-attr="datetime:as_of"   attributes, as name:path, separated by spaces
//   data-f-href="link"             an address, which is relative to the job
//   data-f-if="why.0"              the element is hidden unless there is such a value
//   data-f-unless="sealed"         the element is hidden if there is
//   data-f-class="bad:not_well"    a class that it has if there is such a value, and it isn't 0
//   data-f-list="why"              a child for each entry, made from the element's <template>, in
//                                  which a path begins at the entry, and "." is the entry itself
//   data-f-glyph="shown"           a status's sign and color
//   data-f-bar="stages.0"          an SVG bar, whose rects have a data-state each, in order
//   data-f-act="pause"             a button, which is disabled while acts.pause says why not
//
// The paths are those of GET /api/v1/jobs/{id}/live. Only what differs is written, as text and
// attributes, never as HTML; nothing is computed or guessed between two snapshots.

import { moment } from "./times.js";

const NUMBER = new Intl.NumberFormat("en-US");
const LEAST_UNITS = 2; // of a state with at least one item, as in web/bars.py

/** Write all that `root` shows of the snapshot. */
export function write(root, snapshot) {
  for (const list of root.querySelectorAll("[data-f-list]")) writeList(list, at(snapshot, list.dataset.fList) ?? []);
  writeFields(root, snapshot, (element) => !element.closest("[data-f-list] > :not(template)"));
}

/** True while text is selected that the next snapshot would change. */
export function isSelected(root) {
  const selection = document.getSelection();
  if (!selection || selection.isCollapsed) return false;
  return [...root.querySelectorAll("[data-f]")].some((element) => selection.containsNode(element, true));
}

/** The time of day with its zone, UTC or local as the person prefers. */
export function clock(value) {
  const timeZone = document.documentElement.dataset.clock === "local" ? undefined : "UTC";
  const format = { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short", timeZone };
  return new Date(value).toLocaleTimeString("en-GB", format);
}

function writeFields(root, values, isOwn) {
  const own = (selector) => [...root.querySelectorAll(selector)].filter(isOwn);
  for (const element of own("[data-f]")) setText(element, written(at(values, element.dataset.f), element.dataset.as));
  for (const element of own("[data-f-attr]")) writeAttributes(element, values);
  for (const element of own("[data-f-href]")) setAttribute(element, "href", target(at(values, element.dataset.fHref)));
  for (const element of own("[data-f-if]")) setHidden(element, !at(values, element.dataset.fIf));
  for (const element of own("[data-f-unless]")) setHidden(element, Boolean(at(values, element.dataset.fUnless)));
  for (const element of own("[data-f-class]")) writeClass(element, values);
  for (const element of own("[data-f-glyph]")) writeGlyph(element, at(values, element.dataset.fGlyph));
  for (const element of own("[data-f-bar]")) writeBar(element, at(values, element.dataset.fBar));
  for (const element of own("[data-f-act]")) writeAct(element, at(values, `acts.${element.dataset.fAct}`));
}

function at(values, path) {
  return path === "." ? values : path.split(".").reduce((value, name) => value?.[name], values);
}

function written(value, as) {
  if (value === null || value === undefined) return "–"; // as the server writes what is not known
  if (as === "percent") return `${Math.floor(value * 10) / 10} %`;
  if (as === "rounded") return NUMBER.format(value < 10 ? Math.round(value * 10) / 10 : Math.round(value));
  if (as === "clock") return clock(value);
  if (as === "minute") return moment(new Date(value)).slice(11, 16);
  return typeof value === "number" ? NUMBER.format(value) : String(value);
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

function setHidden(element, hidden) {
  if (element.hidden !== hidden) element.hidden = hidden;
}

/** Where a reason leads from the page of its job. */
function target(link) {
  if (!link) return "";
  if (link.startsWith("log")) return "#logs";
  if (link.startsWith("workers")) return `../${link}`;
  return `${location.pathname.split("/").pop()}/${link}`;
}

function writeAttributes(element, values) {
  for (const pair of element.dataset.fAttr.split(" ")) {
    const [name, path] = pair.split(":");
    setAttribute(element, name, String(at(values, path) ?? ""));
  }
}

/** A child that already shows its entry is left alone, so a selection or a focus in it stays. */
function writeList(list, entries) {
  const template = list.querySelector("template");
  const children = () => [...list.children].filter((child) => child !== template);
  while (children().length > entries.length) children().pop().remove();
  while (children().length < entries.length) list.append(template.content.firstElementChild.cloneNode(true));
  children().forEach((child, n) => writeEntry(child, entries[n]));
}

function writeEntry(child, entry) {
  if (child.dataset.f) setText(child, written(at(entry, child.dataset.f), child.dataset.as));
  if (child.dataset.fAttr) writeAttributes(child, entry);
  writeFields(child, entry, () => true);
}

function writeClass(element, values) {
  const [name, path] = element.dataset.fClass.split(":");
  element.classList.toggle(name, Boolean(at(values, path)));
}

function writeGlyph(element, shown) {
  setText(element, shown.glyph);
  setAttribute(element, "class", `glyph g-${shown.color}`);
}

function writeBar(svg, counts) {
  const rects = [...svg.querySelectorAll("rect[data-state]")];
  const parts = rects.map((rect) => part(counts ?? {}, rect.dataset.state));
  let x = 0;
  widths(parts, svg.viewBox.baseVal.width).forEach((width, n) => {
    setAttribute(rects[n], "x", String(x));
    setAttribute(rects[n], "width", String(width));
    x = Math.round((x + width) * 1000) / 1000;
  });
  const shown = rects.filter((_, n) => parts[n]);
  const text = shown.map((rect) => `${NUMBER.format(part(counts, rect.dataset.state))} ${rect.dataset.word}`).join(", ");
  setAttribute(svg, "aria-label", text || "no items");
  const title = svg.querySelector("title");
  if (title) setText(title, text || "no items");
}

/** What has not reached the stage is ready in the bar. */
function part(counts, state) {
  return (counts[state] ?? 0) + (state === "ready" ? (counts.not_reached ?? 0) : 0);
}

/** In proportion, filling the bar; what there is at all is never too narrow to be seen. */
function widths(parts, units) {
  const total = parts.reduce((sum, part) => sum + part, 0);
  const isNarrow = (part) => part > 0 && part * units < LEAST_UNITS * total;
  const free = units - LEAST_UNITS * parts.filter(isNarrow).length;
  const wide = parts.reduce((sum, part) => sum + (isNarrow(part) ? 0 : part), 0);
  return parts.map((part) => (isNarrow(part) ? LEAST_UNITS : part && Math.round((free * part * 1000) / wide) / 1000));
}

/** A refused act leads to a page that says why, so it can still be reached. */
function writeAct(button, refusal) {
  if (refusal === undefined) return;
  if (refusal) setAttribute(button, "aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
  setAttribute(button, "title", refusal);
}
