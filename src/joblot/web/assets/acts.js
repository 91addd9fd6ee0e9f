// Acts in a dialog: the same form as on the page that asks, fetched when it is needed; by a link with
// data-act, or by a form with data-act-form that names the jobs.
// Without this, or if anything fails, a link leads to that page.

const ASKS = "form[data-question]";
const SAYS = "[data-result]";

/** Show the question at this address; `opener` gets the focus back. */
async function ask(url, opener) {
  const found = await load(fetch(url, { headers: { Accept: "text/html" }, cache: "no-store" }));
  if (!found?.matches(ASKS)) return follow(url);
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "question");
  document.body.append(dialog);
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (dialog.dataset.leadsTo) follow(dialog.dataset.leadsTo);
    else opener.focus();
  });
  show(dialog, found);
  dialog.showModal();
  dialog.querySelector("[data-back]").focus();
}

/** The part of an answer that people read: a question, what was done, or an error; or null. */
async function load(request) {
  try {
    const answer = await request;
    if (answer.redirected) return null;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return page.querySelector(`${ASKS}, ${SAYS}, [data-error]`);
  } catch {
    return null;
  }
}

/** What was done leads to the page that shows it, however the dialog is closed. */
function show(dialog, part) {
  dialog.replaceChildren(document.adoptNode(part));
  part.querySelector("h1").setAttribute("tabindex", "-1");
  const back = part.querySelector("[data-back]");
  if (part.matches(SAYS)) dialog.dataset.leadsTo = back.href;
  back.addEventListener("click", (event) => {
    event.preventDefault();
    dialog.close();
  });
  part.addEventListener("submit", (event) => {
    event.preventDefault();
    send(dialog, part);
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
  if (again.matches("[data-error]")) return complain(form, again.querySelector("p").textContent);
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
  ask(link.href, link);
});

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-act-form]")) return;
  event.preventDefault();
  const url = new URL(event.submitter.formAction);
  url.search = new URLSearchParams(new FormData(event.target));
  ask(url.href, event.submitter);
});
