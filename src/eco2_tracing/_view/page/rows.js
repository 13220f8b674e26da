// Draws the rows of a waterfall.

import { h } from "./dom.js";
import { marked } from "./find.js";
import { count, duration, several } from "./format.js";
import { ERROR, WARNING, severity } from "./notes.js";
import { badge } from "./services.js";

const DEEPEST = 12; // levels that are indented; deeper ones have their number
const LONGEST = 400; // characters of a title
const LEAST_DISTANCE = 0.005; // of the shown time
const MOST_TICKS = 8; // events on a bar while their rows are hidden

/** What all rows of a waterfall are drawn with. */
export class RowDrawing {
  constructor(tree, range) {
    this._tree = tree;
    this._range = range;
    this.marks = new Map();
    this.showsCritical = true;
    this.wanted = "";
    this.matches = new Set();
  }

  /** Return the element of a row. */
  draw(rows, index) {
    const row = rows[index];
    const draw = { span: this._span, group: this._group, note: this._note, fold: this._fold }[row.type];
    const { name, status, took, label, time, kind } = draw.call(this, row, rows);
    return h(
      "div",
      {
        role: "row",
        class: `row ${kind}${this.matches.has(row.key) ? " match" : ""}`,
        "aria-level": row.level,
        "aria-expanded": row.open === null ? null : String(row.open),
        "aria-rowindex": index + 2,
        style: { "--depth": Math.min(row.level - 1, DEEPEST) },
      },
      h("div", { role: "gridcell", class: "name" }, this._lead(row), name),
      h("div", { role: "gridcell", class: "status" }, status),
      h("div", { role: "gridcell", class: "took number" }, took),
      h("div", { role: "gridcell", class: "time", "aria-label": label }, time),
    );
  }

  _lead(row) {
    const deep = row.level - 1 > DEEPEST ? h("span", { class: "depth", title: "Depth" }, count(row.level)) : null;
    const sign = row.open === null ? "" : row.open ? "▾" : "▸";
    return [deep, h("span", { class: "twist", "aria-hidden": "true" }, sign)];
  }

  _span(row, rows) {
    const span = this._tree.spans[row.span];
    const isError = span.status === "error";
    const above = rows[row.parent];
    const hasSame = above && this._service(above) === span.service;
    const name = [
      badge(this.marks.get(span.service), span.service),
      hasSame ? null : h("b", { class: "service" }, short(span.service)),
      h("span", { class: "title", title: short(`${span.service}: ${span.title}`) }, marked(short(span.title), this.wanted)),
      span.hop ? h("span", { class: "chip quiet" }, span.hop) : null,
      row.open === false ? this._hidden(row.span) : null,
    ];
    const label = `from ${duration(Math.max(0, span.offset_ms))}`;
    const status = [isError ? errorSign() : null, span.code];
    const kind = `span-row${isError ? " error" : ""}${span.hop ? " hop" : ""}`;
    return { name, status, took: duration(span.duration_ms), label, time: this._bar(span, row.span), kind };
  }

  _service(row) {
    if (row.type === "span") return this._tree.spans[row.span].service;
    return row.type === "group" ? this._tree.spans[row.members[0]].service : null;
  }

  _hidden(index) {
    const failed = this._tree.failedBelow[index];
    const below = this._tree.below[index];
    if (!below) return null;
    const text = failed ? `+${count(below)}, ${count(failed)} failed` : `+${count(below)}`;
    return h("span", { class: failed ? "chip bad" : "chip quiet", title: "Spans below" }, text);
  }

  _bar(span, index) {
    const style = { ...this._extent(span.offset_ms, span.duration_ms), "--service": this._colour(span.service) };
    const outside = this._outside(span.offset_ms, span.offset_ms + span.duration_ms);
    if (outside) return outside;
    const notes = this._tree.showNotes ? [] : (this._tree.noted.get(index) ?? []);
    return h("div", { class: "bar", style }, [
      this._seen(span.gaps).map(([from, to]) => this._part("gap", span, from, to)),
      this.showsCritical ? this._seen(span.critical).map(([from, to]) => this._part("critical", span, from, to)) : [],
      notes.slice(0, MOST_TICKS).map((note) => this._part(`at ${noteKind(note)}`, span, note.at, note.at)),
    ]);
  }

  // The intervals in the shown time; those between which no distance can be seen are one.
  _seen(intervals) {
    const { from: first, to: last } = this._range;
    const least = (last - first) * LEAST_DISTANCE;
    const made = [];
    for (const [from, to] of [...intervals].sort((a, b) => a[0] - b[0])) {
      const before = made[made.length - 1];
      if (to < first || from > last) continue;
      if (before && from - before[1] < least) before[1] = Math.max(before[1], to);
      else made.push([from, to]);
    }
    return made;
  }

  // A part of a bar, in per cent of what is drawn of the bar; null outside of the shown time.
  _part(kind, span, from, to) {
    if (to < this._range.from || from > this._range.to) return null;
    const begin = this._range.percent(span.offset_ms);
    const whole = Math.max(this._range.percent(span.offset_ms + span.duration_ms) - begin, 1e-9);
    const left = ((this._range.percent(from) - begin) / whole) * 100;
    const width = ((this._range.percent(to) - begin) / whole) * 100 - left;
    return h("i", { class: kind, style: { left: `${left}%`, width: `${width}%` } });
  }

  _extent(from, length) {
    const left = this._range.percent(from);
    return { left: `${left}%`, width: `${this._range.percent(from + length) - left}%` };
  }

  _outside(from, to) {
    if (to < this._range.from) return h("span", { class: "outside", title: "Before the shown time" }, "‹");
    return from > this._range.to ? h("span", { class: "outside after", title: "After the shown time" }, "›") : null;
  }

  _colour(service) {
    return `var(--service-${this.marks.get(service)?.colour ?? 0})`;
  }

  _group(row) {
    const group = this._tree.trace.groups[row.group];
    const members = row.members.map((index) => this._tree.spans[index]);
    const { service } = members[0];
    const name = [
      badge(this.marks.get(service), service),
      h("span", { class: "times" }, `${count(members.length)} ×`),
      h("span", { class: "title", title: short(`${service}: ${group.title}`) }, marked(short(group.title), this.wanted)),
      group.repeated ? h("span", { class: "chip warn", title: "Equal calls, maybe one for each item of a list" }, "N+1?") : null,
    ];
    const status = group.errors ? [errorSign(), `${count(group.errors)}`] : "";
    const from = Math.min(...members.map((span) => span.offset_ms));
    const to = Math.max(...members.map((span) => span.offset_ms + span.duration_ms));
    const strokes = members.length > 60 ? [] : members;
    const bar = h(
      "div",
      { class: "bar many", style: { ...this._extent(from, to - from), "--service": this._colour(service) } },
      strokes.map((span) => this._part("stroke", { offset_ms: from, duration_ms: to - from }, span.offset_ms, span.offset_ms)),
    );
    const time = this._outside(from, to) ?? bar;
    const kind = group.errors ? "group-row error" : "group-row";
    return { name, status, took: [duration(group.total_ms), h("span", { class: "visually-hidden" }, " in total")], label: `from ${duration(from)}`, time, kind };
  }

  _note(row) {
    const { note } = row;
    const kind = noteKind(note);
    const sign = note.type === "log" ? "☰" : "◆";
    const name = [
      h("span", { class: `sign ${kind}`, "aria-hidden": "true" }, sign),
      h("span", { class: `level ${kind}` }, note.type === "log" ? note.level || "log" : "event"),
      h("span", { class: "title", title: short(note.text) }, marked(short(note.text), this.wanted)),
    ];
    const took = h("span", { class: "quiet" }, `@ ${moment(note.at)}`);
    const style = { left: `clamp(5px, ${this._range.percent(note.at)}%, 100% - 5px)` };
    const time = this._outside(note.at, note.at) ?? h("i", { class: `moment ${kind}`, style });
    return { name, status: kind === "bad" ? errorSign() : "", took, label: null, time, kind: "note-row" };
  }

  _fold(row) {
    const { notes } = row;
    const bad = notes.filter((note) => severity(note.level || "info") >= ERROR).length;
    const name = [
      h("span", { class: "sign", "aria-hidden": "true" }, "☰"),
      h("span", { class: "title" }, numberOf(notes)),
    ];
    const last = notes[notes.length - 1].at;
    const style = { ...this._extent(notes[0].at, last - notes[0].at) };
    const time = this._outside(notes[0].at, last) ?? h("i", { class: "moments", style });
    return { name, status: bad ? [errorSign(), count(bad)] : "", took: "", label: null, time, kind: "note-row" };
  }
}

/** Return the beginning of a text that may be very long. */
export function short(text, most = LONGEST) {
  return text.length > most ? `${text.slice(0, most)}…` : text;
}

/** Return the sign of an error, which screen readers name. */
export function errorSign() {
  return h("span", { class: "bad sign", role: "img", "aria-label": "error" }, "✖");
}

/** Return how many log lines and events there are. */
export function numberOf(notes) {
  const lines = notes.filter(({ type }) => type === "log").length;
  const texts = [lines ? several(lines, "log line") : "", lines < notes.length ? several(notes.length - lines, "event") : ""];
  return texts.filter(Boolean).join(" and ");
}

/** Return `bad`, `warn` or `quiet`. */
export function noteKind(note) {
  const level = severity(note.level || "info");
  return level >= ERROR ? "bad" : level >= WARNING ? "warn" : "quiet";
}

/** Return a moment of a trace, which may be before its start. */
export function moment(ms) {
  return ms < 0 ? `−${duration(-ms)}` : duration(ms);
}
