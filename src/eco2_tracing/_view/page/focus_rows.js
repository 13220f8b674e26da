// Rows of which one is the current one: keys move it, and Tab goes to it.

import { VirtualRows } from "./virtual.js";

/** Rows drawn as they are scrolled to, with one current row. */
export class FocusRows {
  /**
   * @param {HTMLElement} viewport The element that scrolls.
   * @param {HTMLElement} body The element that gets the rows.
   * @param {number} height Pixels of a row.
   * @param {function(number): HTMLElement} draw Returns the row of an index.
   * @param {function(number)} moved Called after another row became the current one by a key.
   */
  constructor(viewport, body, height, draw, moved) {
    this._viewport = viewport;
    this._body = body;
    this._moved = moved;
    this._height = height;
    this.count = 0;
    this.current = -1;
    this._virtual = new VirtualRows(viewport, body, height, (index) => this._marked(draw(index), index));
    body.addEventListener("keydown", (event) => this._key(event));
  }

  /** Set the number of rows and the current one, and draw all again. The focus stays on the current row. */
  reset(count, current) {
    const hadFocus = this._body.contains(document.activeElement);
    this.count = count;
    this.current = Math.min(current, count - 1);
    this._virtual.kept = this.current;
    this._virtual.reset(count);
    if (hadFocus) this.focus();
  }

  /** Make a row the current one and scroll to it. */
  move(index) {
    const old = this._virtual.row(this.current);
    const before = this.current;
    this.current = index;
    if (old) this._marked(old, before);
    this._virtual.kept = index;
    const row = this._virtual.reveal(index);
    if (row) this._marked(row, index);
  }

  /** Scroll so that a row is in the middle if it cannot be seen. */
  centre(index) {
    const view = this._viewport;
    const top = index * this._height;
    const room = view.clientHeight - this._body.offsetTop;
    if (top < view.scrollTop || top + this._height > view.scrollTop + room) {
      view.scrollTop = Math.max(0, top - room / 2);
    }
    this.move(index);
  }

  /** Draw one row again. The focus stays on it. */
  redraw(index) {
    const hadFocus = this._virtual.row(index)?.contains(document.activeElement);
    this._virtual.redraw(index);
    if (hadFocus) this._virtual.row(index).focus({ preventScroll: true });
  }

  /** Give the current row the focus. */
  focus() {
    this._virtual.row(this.current)?.focus({ preventScroll: true });
  }

  /** Scroll the page, too, so that the current row can be seen. */
  show() {
    this._virtual.row(this.current)?.scrollIntoView({ block: "nearest" });
  }

  /** Return the first row that can be seen, and how many pixels of it are hidden. */
  place() {
    const index = Math.floor(this._viewport.scrollTop / this._height);
    return { index, hidden: this._viewport.scrollTop - index * this._height };
  }

  /** Scroll to a place. */
  scrollTo(index, hidden) {
    this._viewport.scrollTop = index * this._height + hidden;
  }

  /** End it. */
  dispose() {
    this._virtual.dispose();
  }

  _marked(row, index) {
    const isCurrent = index === this.current;
    row.tabIndex = isCurrent ? 0 : -1;
    row.setAttribute("aria-selected", String(isCurrent));
    return row;
  }

  _key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const page = Math.max(1, Math.floor(this._viewport.clientHeight / this._height) - 2);
    const steps = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page, Home: -Infinity, End: Infinity };
    if (!(event.key in steps) || this.count === 0) return;
    event.preventDefault();
    this.move(Math.max(0, Math.min(this.count - 1, this.current + steps[event.key])));
    this.focus();
    this._moved(this.current);
  }
}
