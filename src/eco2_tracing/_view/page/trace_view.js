// A trace on the page: waterfall, log lines, details, and the tools that act on them.

import { fill, h, announce } from "./dom.js";
import { Detail } from "./detail.js";
import { Matches, nextError } from "./find.js";
import { duration } from "./format.js";
import { Keys } from "./keys.js";
import { Logs } from "./logs.js";
import { marksOf } from "./services.js";
import { splitter } from "./splitter.js";
import { TimeRange } from "./timeline.js";
import { leadOf, traceHead } from "./trace_head.js";
import { traceKeys } from "./trace_keys.js";
import { TraceTools } from "./trace_tools.js";
import { Tree } from "./tree.js";
import { Waterfall } from "./waterfall.js";

const WIDE = matchMedia("(min-width: 64rem)"); // as in trace.css: the details are beside the waterfall
const TYPING_MS = 120;

/** The view of one trace. */
export class TraceView {
  /** @param {string} wantedSpan The id of the span that is selected first, or an empty text. */
  constructor(main, trace, wantedSpan) {
    this._tree = new Tree();
    this._tab = "spans";
    this._range = new TimeRange(() => this._changed());
    this._waterfall = new Waterfall(this._tree, this._range, {
      selected: (row) => this._selected(row),
      activated: (row, byKey) => this._activated(row, byKey),
    });
    this._logs = new Logs(this._tree, {
      selected: (note) => this._selectedLine(note),
      activated: (note, byKey) => this._activated({ type: "note", note, key: note.key }, byKey),
    });
    this._detail = new Detail({
      select: (span) => this.go(span),
      zoom: (from, to) => this._zoom(from, to),
      close: () => this._closeDetail(),
    });
    this._tools = new TraceTools(this._actions());
    this._keys = new Keys(traceKeys(this._actions(), this._range, () => this._tree.spans[this._waterfall.current?.span]));
    this._head = h("header", { class: "trace-head" });
    const lists = h("div", { class: "lists" }, this._waterfall.element, this._logs.element);
    this._panes = h("div", { class: "panes" }, lists);
    const divide = splitter("Width of the details", this._panes, this._detail.element, "--detail", [220, 900], -1);
    this._panes.append(divide, this._detail.element);
    this.element = h("div", { class: "trace" }, this._head, this._tools.element, this._panes, this._keys.dialog);
    main.append(this.element);
    this._detail.element.addEventListener("keydown", (event) => this._escape(event));
    this._ctrlF = (event) => this._browserFind(event);
    document.addEventListener("keydown", this._ctrlF);
    this._otherHash = () => this._open(location.hash.slice(1));
    addEventListener("hashchange", this._otherHash);
    this._panes.classList.toggle("has-detail", WIDE.matches);
    this.load(trace);
    this._open(wantedSpan);
  }

  /** Show a newer state of the trace. Selection, collapsed rows, zoom and place stay. */
  load(trace) {
    const shown = this._signature();
    this._trace = trace;
    this._tree.load(trace);
    const names = [...trace.spans.map(({ service }) => service), ...trace.logs.map(({ service }) => service)];
    this._marks = marksOf(names);
    this._matches = new Matches(this._tree);
    const first = trace.spans.reduce((least, { offset_ms: at }) => Math.min(least, at), 0);
    const last = [...trace.logs].reduce((most, { offset_ms: at }) => Math.max(most, at), trace.duration_ms);
    this._range.load(first, last);
    const open = this._head.querySelector("details[open]");
    if (!open) fill(this._head, traceHead(this._tree, this._marks)); // else the text that is typed there would be lost
    this._tools.load(trace);
    this._find(this._tools.input.value);
    this._waterfall.load(this._marks);
    this._logs.load(this._marks);
    if (this._signature() !== shown) this._showDetail();
    this._update();
    document.title = `${leadOf(this._tree)?.title ?? trace.trace_id} · ${duration(trace.duration_ms)} · eco2-tracing`;
  }

  dispose() {
    document.removeEventListener("keydown", this._ctrlF);
    removeEventListener("hashchange", this._otherHash);
    clearTimeout(this._typing);
    this._keys.dispose();
    this._waterfall.dispose();
    this._logs.dispose();
  }

  // The row whose details are shown, as a text: details are not drawn again while it is the same.
  _signature() {
    const row = this._shownRow();
    if (row?.type !== "span") return row?.key;
    return JSON.stringify([row.key, this._tree.spans[row.span], this._tree.noted.get(row.span)?.length]);
  }

  _shownRow() {
    const note = this._tab === "logs" ? this._logs.current : undefined;
    return note ? { type: "note", note, key: note.key } : this._waterfall.current;
  }

  _open(wanted) {
    const at = this._tree.byKey.get(wanted);
    if (at !== undefined) this.go(at);
    else if (this._trace.spans.length === 0 && this._trace.logs.length) this._show("logs");
    if (wanted && at === undefined) announce(`Span ${wanted} is not part of the trace`);
  }

  /** Select a span, and open what it is below of. */
  go(span) {
    this._tree.reveal(span);
    this._goToKey(this._tree.keys[span]);
  }

  _goToKey(key) {
    this._show("spans");
    this._waterfall.refresh();
    const row = this._waterfall.select(key);
    if (row) this._selected(row);
    this._waterfall.show();
  }

  _selected(row) {
    if (this._tab !== "spans" || !row) return;
    this._showDetail();
    const span = row.type === "span" ? row.span : null;
    if (span !== null) history.replaceState(history.state, "", `#${this._tree.spans[span].span_id}`);
  }

  _selectedLine(note) {
    if (note.span !== null) history.replaceState(history.state, "", `#${this._tree.spans[note.span].span_id}`);
    this._showDetail();
  }

  _showDetail() {
    this._detail.show(this._tree, this._marks, this._shownRow());
  }

  _activated(row, byKey) {
    if (!this._panes.classList.contains("has-detail") && (row.type === "span" || row.type === "note")) {
      this._panes.classList.add("has-detail");
      this._showDetail();
    }
    if (byKey) this._detail.element.focus({ preventScroll: true });
    if (!WIDE.matches) this._list().show();
  }

  _closeDetail() {
    this._panes.classList.remove("has-detail");
    this._list().focus();
  }

  _escape(event) {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    if (WIDE.matches) this._list().focus();
    else this._closeDetail();
  }

  _list() {
    return this._tab === "logs" ? this._logs : this._waterfall;
  }

  // Another list. It shows what is selected in the one before.
  _show(tab) {
    if (this._tab === tab) return;
    const row = this._waterfall.current;
    const line = this._logs.current;
    const span = row?.type === "span" ? row.span : row?.note?.span;
    this._tab = tab;
    this._update();
    if (tab === "spans") {
      const isOther = line && line.key !== this._enteredAt && line.span !== null && line.span !== span;
      const key = isOther ? this._tree.revealNote(line) : row?.key;
      this._waterfall.refresh();
      this._waterfall.select(key);
    } else {
      this._logs.refresh();
      this._logs.select(line?.span === span ? line?.key : (this._logs.firstOf(span) ?? line)?.key);
      this._enteredAt = this._logs.current?.key;
    }
    if (tab === "spans") this._selected(this._waterfall.current);
    else this._showDetail();
  }

  _changed() {
    const key = this._waterfall.current?.key;
    this._waterfall.refresh();
    if (this._waterfall.current?.key !== key) this._selected(this._waterfall.current);
    this._update();
  }

  _update() {
    this._waterfall.element.hidden = this._tab !== "spans";
    this._logs.element.hidden = this._tab !== "logs";
    const { showHops: hops, showNotes: notes } = this._tree;
    this._tools.update({ tab: this._tab, critical: this._waterfall.drawing.showsCritical, hops, notes, isWhole: this._range.isWhole });
  }

  _zoom(from, to) {
    const room = Math.max((to - from) * 0.05, 0.0005);
    this._range.show(from - room, to + room);
  }

  _actions() {
    const changed = (change) => () => {
      change(this._tree);
      this._changed();
    };
    return {
      tab: (name) => this._show(name),
      otherTab: () => this._show(this._tab === "logs" ? "spans" : "logs"),
      find: (text) => {
        clearTimeout(this._typing);
        this._typing = setTimeout(() => this._typed(text), TYPING_MS);
      },
      endFind: () => {
        this._tools.input.value = "";
        this._typed("");
        this._list().focus();
      },
      match: (step) => this._goToMatch(step),
      error: (step) => this._goToError(step),
      expandAll: changed((tree) => tree.expandAll()),
      collapseAll: changed((tree) => tree.collapseAll()),
      openErrors: changed((tree) => tree.openErrors()),
      critical: changed(() => (this._waterfall.drawing.showsCritical = !this._waterfall.drawing.showsCritical)),
      hops: changed((tree) => {
        tree.showHops = !tree.showHops;
        tree.refresh();
      }),
      notes: changed((tree) => (tree.showNotes = !tree.showNotes)),
      wholeTime: () => this._range.reset(),
      zoom: (span) => this._zoom(span.offset_ms, span.offset_ms + span.duration_ms),
      toFind: () => this._tools.input.select(),
      keys: () => this._keys.show(),
    };
  }

  _typed(text) {
    this._find(text);
    this._waterfall.refresh();
    this._logs.refresh();
    if (this._matches.found.length) this._goToMatch(0);
    else this._showDetail(); // without the marks of the text before
  }

  _find(text) {
    this._matches.find(text);
    this._waterfall.drawing.wanted = this._logs.wanted = this._detail.wanted = text;
    this._waterfall.drawing.matches = new Set(this._matches.found.map(({ key }) => key));
    this._tools.found(this._matches.found.length, -1);
  }

  _goToMatch(step) {
    const isLogs = this._tab === "logs";
    const key = this._shownRow()?.key;
    const match = this._matches.go(step, key, ({ note }) => !isLogs || note?.type === "log");
    if (!match) return;
    if (isLogs) this._logs.select(match.key);
    else if (match.note) this._goToKey(this._tree.revealNote(match.note));
    else this.go(match.span);
    this._tools.found(this._matches.found.length, this._matches.at);
  }

  _goToError(step) {
    const error = nextError(this._tree, this._waterfall.current?.key, step);
    if (!error) return;
    this.go(error.span);
    this._waterfall.focus();
    announce(`Error ${error.number} of ${error.count}`);
  }

  _browserFind(event) {
    const isFind = event.key === "f" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey;
    if (isFind && document.activeElement !== this._tools.input) {
      event.preventDefault(); // a second Ctrl-F is the browser's own
      this._tools.input.select();
    } else if (event.key === "ArrowDown" && [document.body, document.getElementById("main")].includes(event.target)) {
      event.preventDefault();
      this._list().focus();
    }
  }
}
