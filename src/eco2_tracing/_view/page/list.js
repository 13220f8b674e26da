// The list of traces.

import { get, listen, throttled } from "./api.js";
import { announce, fill, h, navigate } from "./dom.js";
import { count, several } from "./format.js";
import { Keys } from "./keys.js";
import { fillCounts, howToSend, nothingFound } from "./list_notes.js";
import { ListTable } from "./list_table.js";
import { ListTools } from "./list_tools.js";
import { addressOf, needsServer, parametersOf, searchOf } from "./search.js";
import { SearchForm } from "./search_form.js";
import { MOST_ROWS, ORDERS, TraceRows } from "./trace_rows.js";

const FIRST_ROWS = 300; // fetched before all others, so that they are soon shown
const TYPING_MS = 200;
const RELOAD_MS = 1000;
const CALM_MS = 2000; // without a reload, until all rows are fetched
const SAVE_MS = 150;

const ROW_KEYS = [
  ["↑ ↓ PgUp PgDn Home End", "another row"],
  ["Enter", "open the trace"],
];

let left = null; // the rows and the chosen traces when the list was left, for the way back

/** Show the list of traces. */
export function showList(main, url) {
  const list = new List(main, url);
  return () => list.dispose();
}

class List {
  constructor(main, url) {
    document.title = "Traces · eco2-tracing";
    const sort = url.searchParams.get("sort");
    this._order = Object.hasOwn(ORDERS, sort) ? sort : "newest";
    this._search = searchOf(url.searchParams);
    this._rows = left?.rows ?? new TraceRows();
    this._rows.waiting.clear();
    this._rows.arrange(this._search, this._order);
    this._place = history.state?.place ?? null;
    this._isSearching = true;
    this._found = 0;
    this._draw(main);
    this._reload = throttled(() => this._isPaused || this._ask(true), RELOAD_MS);
    this._recount = throttled(() => this._count(), CALM_MS);
    this._end = listen({ traces: (traces) => this._arrive(traces), reload: () => this._reload() });
    this._ask(false);
    this._offer();
  }

  dispose() {
    left = { rows: this._rows, chosen: this._table.chosen };
    this._asked?.abort();
    for (const timer of [this._typing, this._saving, this._rest]) clearTimeout(timer);
    this._reload.cancel();
    this._recount.cancel();
    this._keys.dispose();
    this._end();
    this._table.dispose();
  }

  _draw(main) {
    this._form = new SearchForm(this._search, (search) => this._searched(search));
    this._table = new ListTable(this._rows, {
      sort: (name) => this._sort(name),
      choose: (id) => this._choose(id),
      open: (id) => this._open(id),
      scrolled: () => this._scrolled(),
    });
    this._table.chosen = left?.chosen ?? [];
    this._keys = new Keys(this._actions(), ROW_KEYS, "");
    this._tools = new ListTools({
      errors: () => this._form.change({ status: this._search.status === "error" ? "" : "error" }),
      slow: () => this._form.change({ min_ms: this._search.min_ms ? "" : this._rows.slowest() }),
      first: () => this._sort(this._order === "errors" ? "newest" : "errors"),
      pause: () => this._setPaused(!this._isPaused),
      sort: (name) => this._sort(name),
      compare: () => this._compare(),
      clear: () => this._setChosen([]),
      release: () => this._release(),
      keys: () => this._keys.show(),
    });
    this._counts = h("p", { class: "quiet counts" });
    fill(
      main,
      h("h1", { class: "visually-hidden" }, "Traces"),
      this._form.element,
      this._tools.element,
      this._table.element,
      this._counts,
      this._keys.dialog,
    );
    this._tools.showChosen(this._table.chosen.length);
    this._show();
  }

  _actions() {
    return [
      ["/", "search", () => this._form.focus()],
      ["e", "next trace with an error", () => this._goToError(1)],
      ["E", "previous trace with an error", () => this._goToError(-1)],
      ["c", "choose the trace for a comparison", () => this._table.hasFocus && this._choose(this._table.current)],
      ["C", "compare the two chosen traces", () => this._compare()],
      ["p", "pause, or go on", () => this._setPaused(!this._isPaused)],
      ["n", "show the new traces", () => this._rows.waiting.size && this._release()],
      ["?", "these keys", () => this._keys.show()],
    ];
  }

  _show() {
    this._table.order = this._order;
    this._table.show();
    if (this._place && (this._table.restore(this._place) || !this._isSearching)) this._place = null;
    this._status();
  }

  _status() {
    const { shown, held } = this._rows;
    const isEmpty = shown.length === 0;
    const isNothing = isEmpty && held.size === 0 && this._counted?.traces === 0;
    if (!isEmpty) this._table.note(null);
    else if (isNothing) this._table.note(howToSend());
    else this._table.note(nothingFound(this._isSearching, () => this._clear()));
    const isPart = this._found > shown.length && shown.length >= FIRST_ROWS;
    this._tools.show({
      text: isPart ? `${count(shown.length)} of ${several(this._found, "trace")}` : several(shown.length, "trace"),
      failed: this._failed,
      isNothing,
      search: this._search,
      order: this._order,
      waits: this._rows.waiting.size ? this._rows.waits : 0,
    });
  }

  // First some rows are asked for, then all.
  async _ask(isReload, limit = FIRST_ROWS) {
    this._asked?.abort();
    clearTimeout(this._rest);
    const { signal } = (this._asked = new AbortController());
    const search = this._search;
    let answer;
    try {
      answer = await get("/api/traces", { ...parametersOf(search), sort: ORDERS[this._order].server, limit }, signal);
    } catch (error) {
      if (error.name !== "AbortError") this._refused(error);
      return;
    }
    this._answered(search, answer, isReload);
    if (this._found <= limit || limit === MOST_ROWS) return;
    this._rest = setTimeout(() => this._ask(isReload, MOST_ROWS), isReload ? CALM_MS : 0);
  }

  _refused(error) {
    this._isSearching = false;
    this._failed = error.status ? `The search was refused: ${error.message}` : "The server does not answer";
    this._status();
  }

  _answered(search, { traces, found, counts }, isReload) {
    this._isSearching = false;
    this._failed = null;
    this._found = found ?? traces.length;
    this._setCounts(counts);
    const isRead = this._table.isRead && !this._place;
    if (isReload && isRead && !needsServer(search)) {
      this._arrive(traces);
      return;
    }
    const place = isRead ? this._table.place() : this._place;
    this._rows.answer(search, traces, this._found <= traces.length);
    this._place = place;
    this._show();
    if (this._isTyped) announce(`${several(this._rows.shown.length, "trace")} found`);
    this._isTyped = false;
  }

  async _offer() {
    const services = await get("/api/services").catch(() => null);
    if (services) this._form.offer(services);
  }

  async _count() {
    const answer = await get("/api/traces", { limit: 1 }).catch(() => null);
    if (answer) this._setCounts(answer.counts);
  }

  _setCounts(counts) {
    this._counted = counts;
    fillCounts(this._counts, counts);
  }

  _arrive(summaries) {
    const isHeldBack = this._isPaused || (this._table.isRead && this._rows.shown.length > 0);
    const { changed, hasNew } = this._rows.arrive(summaries, isHeldBack);
    if (isHeldBack) this._table.redraw(new Set(changed));
    else this._show();
    this._status();
    if (hasNew && needsServer(this._search)) this._reload();
    this._recount();
    const offered = new Set(this._form.offered);
    if (summaries.some(({ services }) => services.some((one) => !offered.has(one)))) this._offer();
  }

  _release() {
    const { hasFocus } = this._table;
    this._rows.release();
    this._table.toTop();
    this._show();
    if (hasFocus) this._table.go(0);
  }

  _setPaused(isPaused) {
    this._isPaused = isPaused;
    this._tools.showPaused(isPaused);
    announce(isPaused ? "Paused: new traces wait" : "New traces are shown");
    if (isPaused) return;
    if (this._rows.waiting.size) this._release();
    this._ask(true);
  }

  _searched(search) {
    this._search = search;
    this._isTyped = true;
    this._isSearching = true;
    this._arrange();
    clearTimeout(this._typing);
    this._typing = setTimeout(() => this._ask(false), TYPING_MS);
  }

  _sort(name) {
    const isOther = ORDERS[name].server !== ORDERS[this._order].server;
    this._order = name;
    this._arrange();
    announce(`Sorted by ${ORDERS[name].column}, ${ORDERS[name].direction}`);
    if (isOther && this._found > this._rows.shown.length) this._ask(false);
  }

  _arrange() {
    this._place = null;
    this._rows.arrange(this._search, this._order);
    this._table.toTop();
    this._show();
    this._save();
  }

  _clear() {
    this._form.change(searchOf(new URLSearchParams()));
    this._form.focus();
  }

  _choose(id) {
    const { chosen } = this._table;
    const others = chosen.filter((one) => one !== id);
    this._setChosen(others.length === chosen.length ? [...others.slice(-1), id] : others);
  }

  _setChosen(chosen) {
    const changed = new Set([...this._table.chosen, ...chosen]);
    this._table.chosen = chosen;
    this._table.redraw(changed);
    this._tools.showChosen(chosen.length);
    announce(`${chosen.length} of 2 traces chosen`);
  }

  _compare() {
    const [one, other] = this._table.chosen.map((id) => this._rows.held.get(id));
    if (!other) return announce("Choose two traces first");
    const [older, newer] = one.at <= other.at ? [one, other] : [other, one];
    this._save();
    navigate(`/compare?left=${older.trace_id}&right=${newer.trace_id}`);
  }

  _open(id) {
    this._save();
    navigate(`/trace/${id}`);
  }

  _scrolled() {
    clearTimeout(this._saving);
    this._saving = setTimeout(() => this._save(), SAVE_MS);
    if (!this._isPaused && this._rows.waiting.size && !this._table.isRead) {
      this._rows.release();
      this._show();
    }
  }

  _save() {
    if (location.pathname !== "/") return;
    history.replaceState({ place: this._table.place() }, "", addressOf(this._search, this._order));
  }

  _goToError(step) {
    const index = this._rows.nextError(this._table.hasFocus ? this._table.index : -1, step);
    if (index < 0) announce("No trace with an error is shown");
    else this._table.go(index);
  }
}
