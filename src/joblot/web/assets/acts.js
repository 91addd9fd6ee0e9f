// Acts in a dialog: the same form as on the page that asks, fetched when it is needed.
// Without this, or if anything fails, a link leads to that page.

/** Show the question that a link leads to. */
async function ask(link) {
  const found = await load(fetch(link.href, { headers: { Accept: "text/html" }, cache: "no-store" }));
  if (!found) return follow(link.href);
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "question");
  document.body.append(dialog);
  dialog.addEventListener("close", () => {
    dialog.remove();
    link.focus();
  });
  show(dialog, found);
  dialog.showModal();
  dialog.querySelector("[data-back]").focus();
}

/** The form of an answer; null if it has none. */
async function load(request) {
  try {
    const answer = await request;
    if (answer.redirected) return null;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return page.querySelector("form[data-question]");
  } catch {
    return null;
  }
}

function show(dialog, form) {
  dialog.replaceChildren(document.adoptNode(form));
  form.querySelector("h1").setAttribute("tabindex", "-1");
  form.querySelector("[data-back]").addEventListener("click", (event) => {
    event.preventDefault();
    dialog.close();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(dialog, form);
  });
}

/** Do it; if the answer asks again, for the number has changed, show that instead. */
async function send(dialog, form) {
  const button = form.querySelector("button");
  button.disabled = true;
  const body = new URLSearchParams(new FormData(form));
  let answer;
  try {
    answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/html", "Joblot-Dialog": "1" } });
  } catch {
    button.disabled = false;
    return complain(form, "The server did not answer; it is not known whether this was done.");
  }
  const where = answer.headers.get("Joblot-Location");
  if (where) return follow(where);
  const again = await load(answer);
  if (!again) return follow(form.action);
  show(dialog, again);
  (dialog.querySelector("[role=alert]") ?? dialog).scrollIntoView({ block: "nearest" });
  dialog.querySelector("[data-back]").focus();
}

function complain(form, text) {
  const note = form.querySelector("[role=alert]") ?? document.createElement("p");
  note.className = "notice danger";
  note.setAttribute("role", "alert");
  note.textContent = text;
  form.querySelector("h1").after(note);
}

function follow(url) {
  location.assign(url);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-act]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  ask(link);
});
