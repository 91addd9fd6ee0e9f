// Printing: the page is light, and says of when its numbers are.
//
// Numbers that follow a job, a list or a map are newer than the page; their modules say of when.

import { showTimes } from "./times.js";

const root = document.documentElement;

function isOf(moment) {
  const time = document.querySelector(".printed time");
  if (new Date(moment) > new Date(time.dateTime)) time.dateTime = new Date(moment).toISOString();
}

/** What is drawn by a script takes its colors from the theme, which is the page's again afterwards. */
function beLight() {
  const theme = root.dataset.theme;
  root.dataset.theme = "light";
  showTimes(document.querySelector(".printed"));
  window.addEventListener("afterprint", () => {
    if (theme === undefined) delete root.dataset.theme;
    else root.dataset.theme = theme;
  }, { once: true });
}

export function startPrint() {
  window.addEventListener("beforeprint", beLight);
  document.addEventListener("joblot:snapshot", (event) => isOf(event.detail.as_of));
  document.addEventListener("joblot:rows", (event) => event.detail.forEach((job) => isOf(job.as_of)));
  if (document.querySelector("[data-live][data-key]")) return; // the map is only a part of this page
  document.addEventListener("joblot-map", (event) => isOf(event.detail.picture.asOf));
}
