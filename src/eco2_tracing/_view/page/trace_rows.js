// The rows of the list of traces: which are held, which are shown in which order, and which wait.

import { milliseconds } from "./format.js";
import { matcher, needsServer } from "./search.js";

export const MOST_ROWS = 10_000;

/** The orders by name: the column, the comparison of two rows, and the order that the server calls so. */
export const ORDERS = {};

function order(column, ascending, descending, compare, servers = []) {
  const known = (name) => (servers.includes(name) ? name : "newest");
  ORDERS[descending] = { column, direction: "descending", other: ascending, compare: (a, b) => compare(b, a), server: known(descending) };
  ORDERS[ascending] = { column, direction: "ascending", other: descending, compare, server: known(ascending) };
}

const texts = (key) => (a, b) => (a[key] < b[key] ? -1 : Number(a[key] > b[key])) || b.at - a.at;
const numbers = (key) => (a, b) => a[key] - b[key] || a.at - b.at;
order("start", "oldest", "newest", numbers("at"), ["oldest", "newest"]);
order("service", "service", "service-down", texts("service"));
order("name", "name", "name-down", texts("title"));
order("status", "status", "status-down", texts("status"));
order("duration", "fastest", "slowest", numbers("duration_ms"), ["slowest"]);
order("spans", "spans-up", "spans", numbers("spans"), ["spans"]);
order("errors", "errors-up", "errors", (a, b) => (a.errors > 0) - (b.errors > 0) || a.at - b.at, ["errors"]);
order("logs", "logs-up", "logs", numbers("logs"));

/** What a click on the header of a column chooses first. */
export const FIRST_ORDER = {
  start: "newest", service: "service", name: "name", status: "status-down",
  duration: "slowest", spans: "spans", errors: "errors", logs: "logs",
};

/** The rows. Those that arrive can be held back, so that nothing moves. */
export class TraceRows {
  constructor() {
    this.held = new Map();
    this.waiting = new Map();
    this.shown = [];
    this.longest = 0;
    this.earliest = Infinity;
    this._sorted = [];
    this._answer = { search: "", ids: new Set() };
  }

  /** Set what is shown, and in which order. */
  arrange(search, name) {
    const isOther = name !== this.order;
    this.search = search;
    this.order = name;
    if (isOther) this._sort();
    this._filter();
  }

  /** Take the server's answer to a search; `isWhole` if it has all that match. */
  answer(search, summaries, isWhole) {
    const isAll = isWhole && Object.values(search).every((value) => value.length === 0);
    const isNew = (summary) => !this.held.has(summary.trace_id);
    const isFull = this.held.size + summaries.filter(isNew).length > MOST_ROWS;
    if (isAll || isFull) this.held.clear(); // also those go that the server has removed
    this.waiting.clear();
    for (const summary of summaries) this._hold(summary);
    this._answer = { search: JSON.stringify(search), ids: new Set(summaries.map((one) => one.trace_id)) };
    this._sort();
    this._filter();
  }

  /**
   * Take summaries that arrive.
   * @param {boolean} isHeldBack New ones wait for `release`.
   * @returns {{changed: string[], hasNew: boolean}} The ids of rows that have changed, and whether rows were added.
   */
  arrive(summaries, isHeldBack) {
    const changed = [];
    let hasNew = false;
    for (const summary of summaries) {
      const isKnown = this.held.has(summary.trace_id);
      if (isKnown) changed.push(summary.trace_id);
      if (isHeldBack && !isKnown) this.waiting.set(summary.trace_id, summary);
      else this._hold(summary);
      hasNew ||= !isKnown && !isHeldBack;
    }
    if (!isHeldBack) {
      this._sort();
      this._filter();
    }
    return { changed, hasNew };
  }

  /** Return how many of those that wait would be shown. */
  get waits() {
    const matches = matcher(this.search);
    let number = 0;
    for (const summary of this.waiting.values()) number += Number(matches(extended(summary)));
    return number;
  }

  /** Show those that wait. */
  release() {
    for (const summary of this.waiting.values()) this._hold(summary);
    this.waiting.clear();
    this._sort();
    this._filter();
  }

  /** Return the index of the next row with errors after an index, in a direction, from the start again; or -1. */
  nextError(index, step) {
    const length = this.shown.length;
    for (let gone = 1; gone <= length; gone += 1) {
      const at = (((index + gone * step) % length) + length) % length;
      if (this.shown[at].errors > 0) return at;
    }
    return -1;
  }

  /** Return, as a text, the duration that one of twenty of the shown traces exceeds. */
  slowest() {
    const durations = Float64Array.from(this.shown, (row) => row.duration_ms).sort();
    return String(Number((durations[Math.floor(durations.length * 0.95)] ?? 0).toPrecision(3)));
  }

  _hold(summary) {
    const row = this.held.get(summary.trace_id);
    if (row) Object.assign(row, extended(summary));
    else this.held.set(summary.trace_id, extended(summary));
  }

  _sort() {
    const { compare } = ORDERS[this.order ?? "newest"];
    this._sorted = [...this.held.values()].sort(compare);
    if (this._sorted.length <= MOST_ROWS) return;
    for (const row of this._sorted.sort(ORDERS.newest.compare).splice(MOST_ROWS)) this.held.delete(row.trace_id);
    this._sorted.sort(compare);
  }

  _filter() {
    if (!this.search) return;
    const { search, ids } = this._answer;
    const isAnswered = needsServer(this.search) && search === JSON.stringify(this.search);
    const matches = isAnswered ? (row) => ids.has(row.trace_id) : matcher(this.search);
    this.shown = this._sorted.filter(matches);
    this.earliest = this.shown.reduce((earliest, row) => Math.min(earliest, row.at), Infinity);
    // The longest bar is not that of the longest trace: one very slow trace would hide how all others differ.
    const durations = Float64Array.from(this.shown, (row) => row.duration_ms).sort();
    this.longest = durations[Math.floor(durations.length * 0.98)] ?? 0;
  }
}

function extended(summary) {
  const title = titleOf(summary);
  const words = [title, summary.name, summary.route, summary.status, summary.trace_id, ...summary.services];
  return { ...summary, title, at: milliseconds(summary.start_ns), words: words.join("\n").toLowerCase() };
}

/** Return what a trace is called: as its root, with its route if the name has none, as that of a gateway. */
export function titleOf({ name, route }) {
  if (!route || name.includes(route)) return name || "(no root yet)";
  return !name || route.startsWith(`${name} `) ? route : `${route} · ${name}`;
}
