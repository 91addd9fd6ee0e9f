// Values as JSON: what is folded is fetched when it is opened, and any can be copied.
//
// A long text is shown in blocks that the browser lays out only where they are seen, and added a
// few at a time, so that the page stays responsive.

const BLOCK_CHARS = 8_000; // about; a block ends with a line
const BLOCKS_AT_ONCE = 16;
const SHOWN_CHARS_MAX = 20_000_000;

class Value {
  constructor(root) {
    this.root = root;
    this.code = root.querySelector("pre code");
    this.fold = root.querySelector("[data-value-fold]");
    this.fold?.addEventListener("toggle", () => this.fold.open && this.show());
    const copy = root.querySelector("[data-value-copy]");
    copy.hidden = false;
    copy.addEventListener("click", () => this.copy());
  }

  /** The whole text, fetched once. */
  text() {
    this.fetched ??= this.fold ? load(this.root.dataset.value) : Promise.resolve(this.code.textContent);
    return this.fetched;
  }

  async show() {
    if (this.isShown) return;
    this.isShown = true;
    this.say("Loading…");
    try {
      const text = await this.text();
      this.root.querySelector("pre").hidden = false;
      await fill(this.code, text.slice(0, SHOWN_CHARS_MAX));
      this.root.querySelector("[data-value-note]").hidden = text.length <= SHOWN_CHARS_MAX;
      this.say("");
    } catch (error) {
      this.failed(error);
    }
  }

  async copy() {
    try {
      await toClipboard(await this.text());
      this.say("Copied.");
    } catch (error) {
      this.failed(error);
    }
  }

  failed(error) {
    this.isShown = false;
    this.fetched = undefined;
    this.say(`This did not work: ${error.message}`);
  }

  say(text) {
    this.root.querySelector("[data-value-status]").textContent = text;
  }
}

async function load(url) {
  const answer = await fetch(url, { headers: { Accept: "application/json" }, cache: "no-store" });
  if (answer.ok) return answer.text();
  const problem = await answer.json().catch(() => ({}));
  throw new Error(problem.detail ?? `the server answered with ${answer.status}`);
}

async function fill(code, text) {
  code.replaceChildren();
  let blocks = [];
  for (let at = 0; at < text.length; ) {
    const end = endOfBlock(text, at);
    const block = document.createElement("span");
    block.className = "block";
    block.textContent = text.slice(at, end);
    blocks.push(block);
    at = end;
    if (blocks.length < BLOCKS_AT_ONCE && at < text.length) continue;
    code.append(...blocks);
    blocks = [];
    await new Promise((done) => setTimeout(done));
  }
}

/** After a whole line, unless the line is longer than a block. */
function endOfBlock(text, at) {
  if (text.length - at <= BLOCK_CHARS) return text.length;
  const line = text.lastIndexOf("\n", at + BLOCK_CHARS);
  return line > at ? line + 1 : at + BLOCK_CHARS;
}

/** Pages over plain HTTP have no clipboard of their own; there, the command to copy works. */
async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const give = (event) => {
    event.clipboardData.setData("text/plain", text);
    event.preventDefault();
  };
  document.addEventListener("copy", give, { once: true });
  const isDone = document.execCommand("copy");
  document.removeEventListener("copy", give);
  if (!isDone) throw new Error("the browser did not allow it");
}

for (const root of document.querySelectorAll("[data-value]")) new Value(root);
