// The table of the list of traces: its rows, the current row, and where it is scrolled to.

import { fill, h } from "./dom.js";
import { FocusRows } from "./focus_rows.js";
import { headOf, rowOf } from "./list_row.js";

const NARROW = matchMedia("(max-width: 52rem)"); // as in views.css
const AT_TOP_PX = 4;

/** The table. It draws `rows.shown`. */
export class ListTable {
  /**
   * @param {Object<string, function>} calls `sort` with the name of an order, `choose` and `open` with an id, `scrolled`.
   */
  constructor(rows, calls) {
    this._rows = rows;
    this._calls = calls;
    this._current = null;
    this.chosen = [];
    this.order = "newest";
    this.element = h("div", { class: "frame" });
    this._narrowed = () => this._build();
    NARROW.addEventListener("change", this._narrowed);
  }

  /** End it. */
  dispose() {
    NARROW.removeEventListener("change", this._narrowed);
    this._lines?.dispose();
  }

  /** Return true if the reader is in the rows: they must not move then. */
  get isRead() {
    return this._viewport.scrollTop > AT_TOP_PX || this._body.contains(document.activeElement);
  }

  /** Return the id of the current row's trace, or `undefined`. */
  get current() {
    return this._rows.shown[this._lines.current]?.trace_id;
  }

  /** Draw all rows again. The current row stays the current one. */
  show() {
    if (!this._lines) this._build();
    else this._fill();
  }

  /** Draw the rows of some traces again. */
  redraw(ids) {
    this._measure();
    for (const row of [...this._body.children]) {
      if (ids.has(row.dataset.id)) this._lines.redraw(indexOf(row));
    }
  }

  /** Show something in place of the rows, or the rows. */
  note(element) {
    fill(this._note, element);
    this._body.hidden = Boolean(element);
  }

  /** Return what can be scrolled to again: the first row that is seen, and the current one. */
  place() {
    const { index, hidden } = this._lines.place();
    return { id: this._viewport.scrollTop ? this._rows.shown[index]?.trace_id : null, hidden, current: this.current };
  }

  /** Scroll to a place. Return false if its trace is not shown. */
  restore({ id, hidden, current }) {
    this._setCurrent(current);
    const index = id ? this._rows.shown.findIndex((row) => row.trace_id === id) : 0;
    if (index < 0) return false;
    this._lines.scrollTo(index, id ? hidden : 0);
    return true;
  }

  /** Scroll to the first row, which becomes the current one. */
  toTop() {
    this._current = null;
    if (this._viewport) this._viewport.scrollTop = 0;
  }

  /** Go to a row, and give it the focus. */
  go(index) {
    this._lines.centre(index);
    this._lines.focus();
    this._current = this.current;
  }

  /** Return the index of the current row. */
  get index() {
    return this._lines.current;
  }

  /** Return true if a row has the focus. */
  get hasFocus() {
    return this._body.contains(document.activeElement);
  }

  _setCurrent(id) {
    const index = this._rows.shown.findIndex((row) => row.trace_id === id);
    if (index < 0) return;
    this._current = id;
    this._fill();
  }

  // The rows have another height in narrow windows, and the user may have another size of letters.
  _build() {
    const place = this._lines && this.place();
    this._lines?.dispose();
    this._head = headOf((name) => this._calls.sort(name));
    const on = { click: (event) => this._clicked(event), keydown: (event) => this._entered(event) };
    this._body = h("div", { role: "rowgroup", on });
    this._note = h("div", {});
    this._viewport = h(
      "div",
      { role: "grid", "aria-label": "Traces", class: "rows", on: { scroll: () => this._calls.scrolled() } },
      h("div", { role: "rowgroup", class: "columns-group" }, this._head.element),
      this._body,
    );
    fill(this.element, this._viewport, this._note);
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const height = Math.round((NARROW.matches ? 3.75 : 2) * rem);
    this._lines = new FocusRows(this._viewport, this._body, height, (index) => this._row(index), () => {
      this._current = this.current;
    });
    this._fill();
    if (place) this.restore(place);
  }

  _fill() {
    const { shown } = this._rows;
    const index = this._current ? shown.findIndex((row) => row.trace_id === this._current) : 0;
    this._measure();
    this._viewport.setAttribute("aria-rowcount", String(shown.length + 1));
    this._head.mark(this.order);
    this._lines.reset(shown.length, Math.max(0, index));
  }

  _measure() {
    this._body.style.setProperty("--longest", String(this._rows.longest || 1));
    const isToday = this._rows.earliest >= new Date().setHours(0, 0, 0, 0);
    this._viewport.classList.toggle("dated", !isToday);
  }

  _row(index) {
    const row = this._rows.shown[index];
    return rowOf(row, index, this.chosen.includes(row.trace_id), this._calls.choose);
  }

  _entered(event) {
    if (event.key === "Enter" && event.target.dataset.id) this._calls.open(event.target.dataset.id);
  }

  _clicked(event) {
    const row = event.target.closest("[data-id]");
    if (!row || event.target.closest("input, a") || String(getSelection())) return;
    this._calls.open(row.dataset.id);
  }
}

function indexOf(row) {
  return Number(row.getAttribute("aria-rowindex")) - 2;
}
