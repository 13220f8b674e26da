// The log lines of a trace by time.

import { append, fill, h } from "./dom.js";
import { marked } from "./find.js";
import { FocusRows } from "./focus_rows.js";
import { several } from "./format.js";
import { LEVELS, fieldsText, severity } from "./notes.js";
import { moment, noteKind, short } from "./rows.js";
import { badge } from "./services.js";

/** A list of the log lines, filtered by their level. */
export class Logs {
  /**
   * @param {{selected: function(Object), activated: function(Object)}} listeners Called with the log line that became the
   *   current one, and with the one on which Enter was pressed or that was clicked.
   */
  constructor(tree, listeners) {
    this._tree = tree;
    this._listeners = listeners;
    this._lines = [];
    this.wanted = "";
    const options = LEVELS.map((level) => h("option", { value: level }, level === LEVELS[0] ? "all levels" : `${level} and above`));
    this._least = h("select", { "aria-label": "Level", on: { change: () => this.refresh() } }, options);
    this._onlyFound = h("input", { type: "checkbox", on: { change: () => this.refresh() } });
    this._state = h("span", { class: "quiet" });
    this._body = h("div", { role: "rowgroup", class: "body" });
    const heads = ["Time", "Level", "Service", "Message"].map((name) => h("div", { role: "columnheader" }, name));
    this._grid = h(
      "div",
      { role: "grid", class: "grid", "aria-label": "Log lines" },
      h("div", { role: "rowgroup", class: "heads" }, h("div", { role: "row", class: "row head", "aria-rowindex": 1 }, heads)),
      this._body,
    );
    this._viewport = h("div", { class: "viewport" }, this._grid);
    const tools = h("p", { class: "toolbar" }, this._least, h("label", { class: "joined" }, this._onlyFound, " only found ones"), this._state);
    this.element = h("section", { class: "logs", "aria-label": "Log lines" }, tools, this._viewport);
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    this._list = new FocusRows(this._viewport, this._body, Math.round(1.75 * rem), (index) => this._draw(index), () => {
      listeners.selected(this.current);
    });
    this._body.addEventListener("click", (event) => this._click(event));
    this._body.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && this.current) listeners.activated(this.current, true);
    });
  }

  get current() {
    return this._lines[this._list.current];
  }

  /** Take the newer state of the tree's trace. */
  load(marks) {
    this._marks = marks;
    this.refresh();
  }

  /** Find the lines again. */
  refresh() {
    const current = this.current;
    const least = severity(this._least.value);
    const all = this._tree.notes.filter(({ type }) => type === "log");
    const wanted = this.wanted.trim().toLowerCase();
    const isFound = ({ text, item }) => `${text} ${item.logger} ${fieldsText(item.fields)}`.toLowerCase().includes(wanted);
    this._lines = all.filter((note) => severity(note.level) >= least && (!this._onlyFound.checked || isFound(note)));
    this._grid.setAttribute("aria-rowcount", String(this._lines.length + 1));
    const more = this._tree.trace.more_logs;
    fill(this._state, `${this._lines.length === all.length ? "" : `${this._lines.length} of `}${several(all.length, "line")}`);
    if (more) append(this._state, [`, ${several(more, "more line")} not shown`]);
    this._list.reset(this._lines.length, Math.max(0, this._lines.findIndex(({ key }) => key === current?.key)));
  }

  /** Return the first shown line of a span. */
  firstOf(span) {
    return this._lines.find((note) => note.span === span);
  }

  /** Make the line of a key the current one and scroll to it. */
  select(key) {
    const index = this._lines.findIndex((note) => note.key === key);
    if (index < 0) return;
    this._list.centre(index);
    this._listeners.selected(this.current);
  }

  focus() {
    this._list.focus();
  }

  /** Scroll the page so that the current row can be seen. */
  show() {
    this._list.show();
  }

  dispose() {
    this._list.dispose();
  }

  _draw(index) {
    const note = this._lines[index];
    const { item } = note;
    const fields = fieldsText(item.fields);
    const kind = noteKind(note);
    const cells = [
      h("div", { role: "gridcell", class: "number" }, moment(note.at)),
      h("div", { role: "gridcell" }, h("span", { class: `level ${kind}` }, note.level || "–")),
      h("div", { role: "gridcell", class: "of" }, badge(this._marks.get(item.service), item.service), h("span", { class: "title" }, item.service.slice(0, 200))),
      h(
        "div",
        { role: "gridcell", class: "text", title: short(note.text) },
        h("span", { class: kind === "quiet" ? null : kind }, marked(note.text.slice(0, 500), this.wanted)),
        h("span", { class: "quiet" }, `  ${item.logger} ${fields.slice(0, 300)}`),
      ),
    ];
    return h("div", { role: "row", class: kind === "bad" ? "row log-row error" : "row log-row", "aria-rowindex": index + 2 }, cells);
  }

  _click(event) {
    const element = event.target.closest(".row");
    if (!element || String(getSelection()).length > 0) return;
    this._list.move(Number(element.getAttribute("aria-rowindex")) - 2);
    this._list.focus();
    this._listeners.selected(this.current);
    this._listeners.activated(this.current, false);
  }
}
