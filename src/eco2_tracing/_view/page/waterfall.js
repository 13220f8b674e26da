// The spans of a trace as a tree with bars of time: an ARIA treegrid.

import { h } from "./dom.js";
import { FocusRows } from "./focus_rows.js";
import { RowDrawing } from "./rows.js";
import { splitter } from "./splitter.js";
import { Overview, chooseByDrag, drawAxis } from "./timeline.js";

const NARROW = matchMedia("(max-width: 40rem)"); // as in trace.css: a row has two lines

/** The waterfall of a tree. */
export class Waterfall {
  /**
   * @param {{selected: function(Object), activated: function(Object)}} listeners Called with the row that became the
   *   current one, and with the row on which Enter was pressed or that was clicked.
   */
  constructor(tree, range, listeners) {
    this._tree = tree;
    this._range = range;
    this._listeners = listeners;
    this.drawing = new RowDrawing(tree, range);
    this.rows = [];
    this._axis = h("div", { role: "columnheader", class: "time axis", "aria-label": "Time" });
    this._overview = new Overview(range);
    const name = h("div", { role: "columnheader", class: "name" }, "Span");
    const head = h(
      "div",
      { role: "row", class: "row head", "aria-rowindex": 1 },
      name,
      h("div", { role: "columnheader", class: "status" }, "Status"),
      h("div", { role: "columnheader", class: "took number" }, "Duration"),
      this._axis,
    );
    this._grid = h(
      "div",
      { role: "treegrid", class: "grid", "aria-label": "Spans", "aria-colcount": 4 },
      h("div", { role: "rowgroup", class: "heads" }, head),
    );
    name.append(splitter("Width of the names", this._grid, name, "--name", [120, 900]));
    this._viewport = h("div", { class: "viewport" }, this._grid);
    this.element = h("section", { class: "waterfall", "aria-label": "Waterfall" }, this._overview.element, this._viewport);
    this._grid.addEventListener("keydown", (event) => this._key(event));
    this._grid.addEventListener("click", (event) => this._click(event));
    chooseByDrag(this._axis, range, () => [range.from, range.to]);
    this._sizes = new ResizeObserver(() => this._drawAxis());
    this._sizes.observe(this._axis);
    this._narrow = () => this._build();
    NARROW.addEventListener("change", this._narrow);
  }

  /** Return the current row. */
  get current() {
    return this.rows[this._list?.current ?? -1];
  }

  /** Take the newer state of the tree's trace. */
  load(marks) {
    this.drawing.marks = marks;
    if (this._list) {
      this._keepShown(this.current?.key);
      this.refresh();
    } else this._build();
    this._overview.load(this._tree, marks);
  }

  /** Find the rows again. The current row and the first one that is seen stay, as far as they are shown. */
  refresh(currentKey = this.current?.key) {
    const { index, hidden } = this._list.place();
    const anchor = this.rows[index]?.key;
    const before = this.rows;
    this._findRows();
    const current = this._place(currentKey, before);
    this._list.reset(this.rows.length, Math.max(0, current));
    if (index > 0 && this._places.has(anchor)) this._list.scrollTo(this._places.get(anchor), hidden);
    this._drawAxis();
    this._overview.update();
  }

  /** Make the row of a key the current one and scroll to it; return it. */
  select(key) {
    const index = this._places.get(key);
    if (index === undefined) return undefined;
    this._list.centre(index);
    return this.rows[index];
  }

  focus() {
    this._list.focus();
  }

  /** Scroll the page so that the current row can be seen. */
  show() {
    this._list.show();
  }

  dispose() {
    this._list?.dispose();
    this._overview.dispose();
    this._sizes.disconnect();
    NARROW.removeEventListener("change", this._narrow);
  }

  // The current row may be one of a group or of many log lines by now; these would be folded.
  _keepShown(key) {
    if (key === undefined) return;
    const span = this._tree.byKey.get(key);
    const note = this._tree.notes.find((one) => one.key === key);
    if (span !== undefined) this._tree.reveal(span);
    else if (note) this._tree.revealNote(note);
  }

  _build() {
    const key = this.current?.key;
    this._list?.dispose();
    this._body?.remove();
    this._body = h("div", { role: "rowgroup", class: "body" });
    this._grid.append(this._body);
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const height = Math.round((NARROW.matches ? 3.25 : 1.75) * rem);
    const draw = (index) => this.drawing.draw(this.rows, index);
    this._list = new FocusRows(this._viewport, this._body, height, draw, () => this._select());
    this._findRows();
    this._list.reset(this.rows.length, Math.max(0, this._places.get(key) ?? 0));
    this._drawAxis();
  }

  _findRows() {
    this.rows = this._tree.rows();
    this._places = new Map(this.rows.map((row, index) => [row.key, index]));
    this._grid.setAttribute("aria-rowcount", String(this.rows.length + 1));
  }

  // The row of a key, or of the nearest row above it that is still shown.
  _place(key, before) {
    let row = before.find((one) => one.key === key);
    while (row && !this._places.has(row.key)) row = before[row.parent];
    return row ? this._places.get(row.key) : (this._places.get(key) ?? 0);
  }

  _drawAxis() {
    drawAxis(this._axis, this._range, this._grid);
    const [, last] = this._range.full;
    this._axis.setAttribute("aria-label", this._range.isWhole ? "Time" : `Time, a part of ${last.toFixed(1)} ms`);
  }

  _select() {
    this._listeners.selected(this.current);
  }

  /** Open or close a row, and keep it the current one. */
  toggle(row, open) {
    this._tree.toggle(row, open);
    this.refresh(row.key);
  }

  _click(event) {
    const element = event.target.closest(".body > .row");
    const row = element && this.rows[Number(element.getAttribute("aria-rowindex")) - 2];
    if (!row || String(getSelection()).length > 0) return;
    this._list.move(this._places.get(row.key));
    this._list.focus();
    const isFolded = row.type === "group" || row.type === "fold";
    if (isFolded || event.target.closest(".twist")) this.toggle(row);
    this._select();
    if (!event.target.closest(".twist")) this._listeners.activated(this.current, false);
  }

  _key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || !event.target.closest(".body > .row")) return;
    const row = this.current;
    if (!row) return;
    if (event.key === "ArrowRight") {
      if (row.open === false) this.toggle(row);
      else if (row.open) this._go(this._list.current + 1);
    } else if (event.key === "ArrowLeft") {
      if (row.open) this.toggle(row);
      else if (row.parent >= 0) this._go(row.parent);
    } else if (event.key === " ") {
      this.toggle(row);
    } else if (event.key === "Enter") {
      if (row.type === "group" || row.type === "fold") this.toggle(row);
      else this._listeners.activated(row, true);
    } else return;
    event.preventDefault();
  }

  _go(index) {
    if (index >= this.rows.length) return;
    this._list.move(index);
    this._list.focus();
    this._select();
  }
}
