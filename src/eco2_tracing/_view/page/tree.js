// Which rows of a trace are shown: its spans as a tree, folded groups, and log lines and events in their places.

import { eventTitle } from "./notes.js";

const MOST_NOTES = 10; // log lines and events in a row before they are folded

/**
 * The rows of a trace. What is collapsed is kept by keys, so that it stays when the trace grows.
 *
 * A row is `{type, key, level, parent, open}` with the index of its parent's row, and `open` null if nothing is below.
 * Its type is `span` (with `span`), `group` (with `group` and `members`), `note` (with `note`) or `fold` (`notes`).
 */
export class Tree {
  constructor() {
    this.collapsed = new Set();
    this.opened = new Set();
    this.showHops = true;
    this.showNotes = true;
  }

  /** Take a trace, or a newer state of it. */
  load(trace) {
    this.trace = trace;
    this.spans = trace.spans;
    this.keys = keysOf(trace.spans);
    this.byKey = new Map(this.keys.map((key, index) => [key, index]));
    this.notes = notesOf(trace, this.keys);
    this.refresh();
  }

  /** Find the parents again, after `showHops` changed. */
  refresh() {
    const total = this.spans.length;
    this.parents = shownParents(this.spans, this.showHops);
    this.kids = Array.from({ length: total + 1 }, () => []);
    this.spans.forEach((span, index) => {
      if (this.isShown(index)) this.kids[this.parents[index] ?? total].push(index);
    });
    for (const list of this.kids) list.sort((a, b) => this.spans[a].offset_ms - this.spans[b].offset_ms);
    this.noted = new Map();
    for (const note of this.notes) {
      const owner = this.owner(note) ?? total;
      if (!this.noted.has(owner)) this.noted.set(owner, []);
      this.noted.get(owner).push(note);
    }
    this._measure();
  }

  /** Return the index of the shown span that a note belongs to, or null. */
  owner(note) {
    if (note.span === null || this.isShown(note.span)) return note.span;
    return this.parents[note.span];
  }

  isShown(index) {
    return this.showHops || !this.spans[index].hop;
  }

  // `order`: all shown spans from the top; `below`: the number of descendants of each, `failedBelow` of failed ones.
  _measure() {
    const total = this.spans.length;
    this.order = [];
    const stack = [...this.kids[total]].reverse();
    while (stack.length) {
      const index = stack.pop();
      this.order.push(index);
      for (let at = this.kids[index].length - 1; at >= 0; at -= 1) stack.push(this.kids[index][at]);
    }
    this._places = undefined;
    this.below = new Int32Array(total);
    this.failedBelow = new Int32Array(total);
    for (let rank = this.order.length - 1; rank >= 0; rank -= 1) {
      const index = this.order[rank];
      const parent = this.parents[index];
      if (parent === null) continue;
      this.below[parent] += this.below[index] + 1;
      this.failedBelow[parent] += this.failedBelow[index] + (this.spans[index].status === "error" ? 1 : 0);
    }
  }

  /** Return the rows that are shown now, or all that there are. */
  rows(all = false) {
    const rows = [];
    const stack = [{ items: this._items(null, all), at: 0, level: 1, parent: -1 }];
    while (stack.length) {
      const frame = stack[stack.length - 1];
      if (frame.at === frame.items.length) {
        stack.pop();
        continue;
      }
      const row = { ...frame.items[frame.at], level: frame.level, parent: frame.parent };
      frame.at += 1;
      row.open = this._isOpen(row);
      rows.push(row);
      if (row.open || (all && row.type !== "note")) stack.push({ items: this._inner(row, all), at: 0, level: frame.level + 1, parent: rows.length - 1 });
    }
    return rows;
  }

  /** Return the place of each key among all rows, also those that are not shown now. */
  places() {
    this._places ??= new Map(this.rows(true).map(({ key }, place) => [key, place]));
    return this._places;
  }

  _isOpen(row) {
    if (row.type === "note") return null;
    if (row.type !== "span") return this.opened.has(row.key);
    const hasInner = this.kids[row.span].length > 0 || (this.showNotes && this.noted.has(row.span));
    return hasInner ? !this.collapsed.has(row.key) : null;
  }

  _inner(row, all) {
    if (row.type === "span") return this._items(row.span, all);
    if (row.type === "fold") return row.notes.map(noteRow);
    return row.members.map((span) => this._spanRow(span));
  }

  _spanRow(span) {
    return { type: "span", span, key: this.keys[span] };
  }

  // The rows below a span, or the top ones for null: children and notes by time.
  _items(parent, withNotes = this.showNotes) {
    const place = parent ?? this.spans.length;
    const made = [];
    const notes = ((withNotes || this.showNotes) && this.noted.get(place)) || [];
    const seen = new Set();
    let next = 0;
    const addNotes = (until) => {
      const from = next;
      while (next < notes.length && notes[next].at <= until) next += 1;
      const found = notes.slice(from, next);
      if (found.length > MOST_NOTES) made.push({ type: "fold", notes: found, key: `${found[0].key}/fold` });
      else for (const note of found) made.push(noteRow(note));
    };
    for (const span of this.kids[place]) {
      const group = this.spans[span].group;
      if (group !== null && seen.has(group)) continue;
      addNotes(this.spans[span].offset_ms);
      const row = group === null ? null : this._groupRow(group, place);
      if (row) seen.add(group);
      made.push(row ?? this._spanRow(span));
    }
    addNotes(Infinity);
    return made;
  }

  _groupRow(group, place) {
    const members = this.trace.groups[group].spans.filter(
      (span) => span < this.spans.length && this.isShown(span) && (this.parents[span] ?? this.spans.length) === place,
    );
    if (members.length < 2) return null;
    return { type: "group", group, members, key: this._groupKey(group) };
  }

  _groupKey(group) {
    const { parent, title, spans } = this.trace.groups[group];
    return `${parent === null ? "" : this.keys[parent]}/${this.spans[spans[0]].service}/${title}`;
  }

  /** Open or close a row. */
  toggle(row, open = !row.open) {
    if (row.open === null) return;
    if (row.type === "span") change(this.collapsed, row.key, !open);
    else change(this.opened, row.key, open);
  }

  /** Open everything but groups. */
  expandAll() {
    this.collapsed.clear();
  }

  /** Close everything below the first spans. */
  collapseAll() {
    this.opened.clear();
    this.order.forEach((index) => change(this.collapsed, this.keys[index], this.parents[index] !== null));
  }

  /** Close what has no error below it, and open what leads to one. */
  openErrors() {
    this.opened.clear();
    this.order.forEach((index) => change(this.collapsed, this.keys[index], this.failedBelow[index] === 0));
    for (const index of this.order) if (this.spans[index].status === "error") this.reveal(index);
  }

  /** Open what a span is below of. A hidden proxy's span is shown again. */
  reveal(span) {
    if (!this.isShown(span)) {
      this.showHops = true;
      this.refresh();
    }
    for (let at = span; at !== null; at = this.parents[at]) {
      if (at !== span) this.collapsed.delete(this.keys[at]);
      if (this.spans[at].group !== null) this.opened.add(this._groupKey(this.spans[at].group));
    }
  }

  /** Open what a log line or event is below of; return the key of the row that shows it. */
  revealNote(note) {
    const owner = this.owner(note);
    if (owner !== null) this.reveal(owner);
    if (!this.showNotes) return owner === null ? null : this.keys[owner];
    if (owner !== null) this.collapsed.delete(this.keys[owner]);
    const fold = this._items(owner).find((row) => row.type === "fold" && row.notes.includes(note));
    if (fold) this.opened.add(fold.key);
    return note.key;
  }
}

function noteRow(note) {
  return { type: "note", note, key: note.key };
}

function change(set, key, isMember) {
  if (isMember) set.add(key);
  else set.delete(key);
}

// The span ids; a second span of one id gets a number.
function keysOf(spans) {
  const counts = new Map();
  return spans.map(({ span_id: id }) => {
    const count = counts.get(id) ?? 0;
    counts.set(id, count + 1);
    return count ? `${id}~${count}` : id;
  });
}

// The nearest ancestor that is shown, of each span; null at the top.
function shownParents(spans, showHops) {
  if (showHops) return spans.map((span) => span.parent);
  const found = new Array(spans.length);
  spans.forEach((_, start) => {
    const path = [];
    let at = start;
    while (at !== null && found[at] === undefined) {
      path.push(at);
      const { parent } = spans[at];
      found[at] = null; // ends a cycle
      if (parent === null || !spans[parent].hop) found[at] = parent;
      at = parent;
    }
    for (const one of path.reverse()) {
      const { parent } = spans[one];
      if (parent !== null && spans[parent].hop) found[one] = found[parent];
    }
  });
  return found;
}

// Log lines and events by time.
function notesOf(trace, keys) {
  const counts = new Map(); // log lines of each span: earlier lines of other spans may arrive later
  const notes = trace.logs.map((line) => {
    const number = counts.get(line.span) ?? 0;
    counts.set(line.span, number + 1);
    const key = `${line.span === null ? "" : keys[line.span]}/log${number}`;
    return { type: "log", span: line.span, at: line.offset_ms, level: line.level, text: line.message, item: line, key };
  });
  trace.spans.forEach((span, index) =>
    span.events.forEach((event, at) => {
      const level = event.name === "exception" ? "error" : "";
      notes.push({
        type: "event", span: index, at: event.offset_ms, level, text: eventTitle(event), item: event, key: `${keys[index]}/${at}`,
      });
    }),
  );
  return notes.sort((a, b) => a.at - b.at);
}
