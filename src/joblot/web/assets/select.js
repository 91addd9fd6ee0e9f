// Selecting rows of a list, to act on them together: a box in each row, or all that match.
//
//   form#bulk            the form of the boxes; it is hidden while nothing is selected
//   data-pick-all        the box that selects all rows of the page
//   data-pick-count      how many are selected
//   data-pick-all-text   what selects all that match, on all pages

const NUMBER = new Intl.NumberFormat("en-US");

class Selection {
  constructor(form) {
    this.form = form;
    this.page = document.querySelector("[data-pick-all]");
    this.count = form.querySelector("[data-pick-count]");
    this.text = form.querySelector("[data-pick-all-text]");
    this.boxes = [...document.querySelectorAll("input[name=id][form=bulk]")];
  }

  start() {
    this.page.hidden = false;
    this.page.addEventListener("change", () => this.pick(this.page.checked));
    this.form.elements.all.addEventListener("change", (event) => this.pick(event.target.checked));
    this.form.querySelector("[data-pick-none]").addEventListener("click", () => this.pick(false));
    for (const box of this.boxes) {
      box.addEventListener("change", () => {
        if (!box.checked) this.form.elements.all.checked = false;
        this.show();
      });
    }
    document.addEventListener("joblot:match", (event) => this.match(event.detail));
    window.addEventListener("pageshow", () => this.show());
    this.show();
  }

  pick(checked) {
    for (const box of this.boxes) box.checked = checked;
    if (!checked) this.form.elements.all.checked = false;
    this.show();
  }

  /** How many jobs match on all pages, as text. If they are all on this page, its boxes do. */
  match(number) {
    this.matching = number;
    this.text.textContent = `select all ${number} matching`;
    this.text.parentElement.hidden = number === NUMBER.format(this.boxes.length);
    this.show();
  }

  show() {
    const picked = this.boxes.filter((box) => box.checked).length;
    const isAll = this.form.elements.all.checked;
    this.form.hidden = !picked && !isAll;
    this.page.checked = picked > 0 && picked === this.boxes.length;
    this.page.indeterminate = picked > 0 && !this.page.checked;
    for (const box of this.boxes) box.closest("tr").classList.toggle("picked", box.checked);
    this.count.textContent = isAll ? `all ${this.matching ?? ""} selected` : `${NUMBER.format(picked)} selected`;
  }
}

new Selection(document.getElementById("bulk")).start();
