// Times: "5 min ago" keeps up with the clock, and a moment is shown in UTC or in local time.
// The server's clock counts: the page says what it was when the page was made.

const root = document.documentElement;
const TICK_MS = 10_000;
const STEPS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

/** Two units at most, as the server writes it: "2 h 10 min". */
export function duration(seconds) {
  let left = Math.max(0, Math.round(seconds));
  const parts = [];
  for (const [size, unit] of STEPS) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count || parts.length) parts.push([count, unit]);
  }
  return parts.slice(0, 2).filter(([count]) => count).map((part) => part.join(" ")).join(" ") || "0 s";
}

/** The moment in UTC or local time, as the person prefers, with its zone. */
export function moment(date) {
  const local = root.dataset.clock === "local";
  const format = new Intl.DateTimeFormat("sv-SE", {
    dateStyle: "short", timeStyle: "medium", timeZone: local ? undefined : "UTC",
  });
  return `${format.format(date)} ${local ? zone(date) : "UTC"}`;
}

function zone(date) {
  const parts = new Intl.DateTimeFormat("en-US", { timeZoneName: "short" }).formatToParts(date);
  return parts.find((part) => part.type === "timeZoneName").value;
}

const WORDS = {
  ago: (ms) => (ms < 1000 ? "now" : `${duration(ms / 1000)} ago`),
  age: (ms) => duration(ms / 1000).split(" ").slice(0, 2).join(" "),
  at: (ms, absolute) => absolute,
  clock: (ms, absolute) => absolute.slice(11, 16),
};

const ahead = Number(root.dataset.now) * 1000 - Date.now() || 0;

/** Write all times below an element again. */
export function showTimes(below = document) {
  const now = Date.now() + ahead;
  for (const element of below.querySelectorAll("time[data-time]")) {
    if (!element.dateTime) continue; // not known yet
    const date = new Date(element.dateTime);
    const absolute = moment(date);
    element.title = absolute;
    const text = WORDS[element.dataset.time](now - date, absolute);
    if (element.textContent !== text) element.textContent = text;
  }
}

export function startTimes() {
  showTimes();
  setInterval(() => document.hidden || showTimes(), TICK_MS);
  document.addEventListener("joblot:preference", () => showTimes());
}
