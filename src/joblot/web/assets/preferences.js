// The switches for theme, clock and keys, without loading the page again.

const root = document.documentElement;
const YEAR_SECONDS = 366 * 86400;

/** Set a preference here and for the pages to come. */
export function prefer(name, value) {
  document.cookie = `joblot_${name}=${value}; path=${root.dataset.root}; max-age=${YEAR_SECONDS}; samesite=lax`;
  if (name === "theme" && value === "auto") delete root.dataset.theme;
  else root.dataset[name] = value;
  for (const button of document.querySelectorAll(`.choice button[name="${name}"]`)) {
    button.setAttribute("aria-pressed", String(button.value === value));
  }
  document.dispatchEvent(new CustomEvent("joblot:preference", { detail: { name, value } }));
}

/** "light" or "dark", as it is shown now. */
export function shownTheme() {
  if (root.dataset.theme) return root.dataset.theme;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

export function startPreferences() {
  for (const button of document.querySelectorAll(".choice button")) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      prefer(button.name, button.value);
    });
  }
}
