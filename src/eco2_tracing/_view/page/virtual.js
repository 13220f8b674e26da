// Draws those rows of a long list that can be seen.

const SPARE_ROWS = 12; // above and below what can be seen

/** Rows of one height in a scrolled element. The row of an index exists while it is near to what can be seen. */
export class VirtualRows {
  /**
   * @param {HTMLElement} viewport The element that scrolls; the rows become children of an element in it.
   * @param {HTMLElement} body The element that gets the rows, such as one with `role="rowgroup"`.
   * @param {number} height Pixels of a row.
   * @param {function(number): HTMLElement} draw Returns the row of an index.
   */
  constructor(viewport, body, height, draw) {
    this._viewport = viewport;
    this._body = body;
    this._height = height;
    this._draw = draw;
    this._count = 0;
    this._rows = new Map();
    this._frame = 0;
    /** The index of a row that stays drawn wherever it is, such as the one that Tab goes to. */
    this.kept = -1;
    body.classList.add("virtual-rows");
    this._later = () => {
      this._frame ||= requestAnimationFrame(() => {
        this._frame = 0;
        this._update();
      });
    };
    viewport.addEventListener("scroll", this._later, { passive: true });
    this._sizes = new ResizeObserver(this._later);
    this._sizes.observe(viewport);
  }

  /** Set the number of rows, and draw all again. */
  reset(count) {
    this._count = count;
    this._body.style.setProperty("height", `${count * this._height}px`);
    for (const row of this._rows.values()) row.remove();
    this._rows.clear();
    this._update();
  }

  /** Return the row of an index if it is drawn. */
  row(index) {
    return this._rows.get(index);
  }

  /** Draw one row again. */
  redraw(index) {
    const old = this._rows.get(index);
    if (!old) return;
    const made = this._place(index);
    old.replaceWith(made);
  }

  /** Scroll so that a row can be seen, and draw it; return it. */
  reveal(index) {
    const view = this._viewport;
    const head = this._body.offsetTop;
    const top = head + index * this._height;
    if (top < view.scrollTop + head) view.scrollTop = top - head;
    else if (top + this._height > view.scrollTop + view.clientHeight) {
      view.scrollTop = top + this._height - view.clientHeight;
    }
    this._update();
    return this._rows.get(index);
  }

  /** End it. */
  dispose() {
    cancelAnimationFrame(this._frame);
    this._sizes.disconnect();
    this._viewport.removeEventListener("scroll", this._later);
  }

  _update() {
    const view = this._viewport;
    const above = view.scrollTop - this._body.offsetTop;
    const first = Math.max(0, Math.floor(above / this._height) - SPARE_ROWS);
    const last = Math.min(this._count, Math.ceil((above + view.clientHeight) / this._height) + SPARE_ROWS);
    for (const [index, row] of this._rows) {
      const isFocused = row.contains(document.activeElement); // else the focus would be lost
      if ((index < first || index >= last) && index !== this.kept && !isFocused) {
        row.remove();
        this._rows.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) {
      if (!this._rows.has(index)) this._insert(index);
    }
    if (this.kept >= 0 && this.kept < this._count && !this._rows.has(this.kept)) this._insert(this.kept);
  }

  // Screen readers read the rows in the order of the document.
  _insert(index) {
    let after = Infinity;
    for (const other of this._rows.keys()) if (other > index && other < after) after = other;
    const next = this._rows.get(after) ?? null;
    this._body.insertBefore(this._place(index), next);
  }

  _place(index) {
    const row = this._draw(index);
    row.style.setProperty("top", `${index * this._height}px`);
    row.style.setProperty("height", `${this._height}px`);
    this._rows.set(index, row);
    return row;
  }
}
