// The comparison of two traces, span by span.

import { get } from "./api.js";
import { fill, h } from "./dom.js";
import { FocusRows } from "./focus_rows.js";
import { clock, count, duration, milliseconds, several } from "./format.js";
import { differenceOf, differenceText, orderedBy } from "./difference.js";
import { titleOf } from "./trace_rows.js";

const SIDES = ["left", "right"];

/** Show the comparison that an address names: `/compare?left=<id>&right=<id>`. */
export function showCompare(main, url) {
  document.title = "Comparison · eco2-tracing";
  const [left, right] = SIDES.map((side) => url.searchParams.get(side)?.trim().toLowerCase() ?? "");
  const ending = new AbortController();
  const heading = h("h1", {}, "Comparison of two traces");
  let table = null;
  if (!left || !right) {
    fill(main, heading, hint());
  } else {
    fill(main, heading, h("p", { class: "quiet" }, "Reading the traces …"));
    get("/api/compare", { left, right }, ending.signal).then(
      (found) => {
        table = new Comparison(found);
        fill(main, heading, sidesOf(found), table.element);
        table.begin();
      },
      (error) => {
        if (error.name === "AbortError") return;
        fill(main, heading, h("p", { class: "bad" }, `They cannot be compared: ${error.message}`), hint());
      },
    );
  }
  return () => {
    ending.abort();
    table?.dispose();
  };
}

function hint() {
  return h("p", {}, "Choose two traces in the ", h("a", { href: "/" }, "list"), ", by their boxes or with the key c.");
}

function sidesOf({ left, right }) {
  const side = (name, trace) =>
    h(
      "section",
      { class: "side", "aria-label": `${name} trace` },
      h("h2", {}, `${name}: `, h("a", { href: `/trace/${trace.trace_id}` }, titleOf(trace))),
      h("p", { class: "quiet" }, `${trace.service} · ${clock(milliseconds(trace.start_ns))} · ${trace.trace_id.slice(0, 12)}`),
      h("p", {},
        h("b", {}, duration(trace.duration_ms)), ` · ${several(trace.spans, "span")}`,
        trace.status && ` · ${trace.status}`,
        trace.errors > 0 && h("span", { class: "bad" }, ` · ✖ ${several(trace.errors, "error")}`)),
    );
  const swapped = `/compare?${new URLSearchParams({ left: right.trace_id, right: left.trace_id })}`;
  const total = right.duration_ms - left.duration_ms;
  return h(
    "div",
    { class: "sides" },
    side("Left", left),
    h("div", { class: "between" },
      h("b", { class: total > 0 ? "warn" : "good" }, differenceText(left.duration_ms, right.duration_ms)),
      h("a", { href: swapped, class: "button", "aria-label": "Swap left and right" }, "⇄ Swap")),
    side("Right", right),
  );
}

/** The rows of a comparison. */
class Comparison {
  constructor({ left, right, rows }) {
    this._ids = { left: left.trace_id, right: right.trace_id };
    this._rows = rows;
    this._order = "tree";
    this._most = Math.max(...rows.map((row) => Math.abs(row.delta_ms)), 1e-9);
    // Tab goes from a row to its links.
    const reach = (event, index) => {
      for (const link of event.target.closest(".pair").querySelectorAll("a")) link.tabIndex = index;
    };
    const on = { focusin: (event) => reach(event, 0), focusout: (event) => reach(event, -1) };
    this._body = h("div", { role: "rowgroup", on });
    const heads = ["Span", "Left", "Right", "Difference"].map((label, index) =>
      h("div", { role: "columnheader", class: ["what", "number", "number", "delta"][index] }, label));
    this._viewport = h(
      "div",
      { role: "grid", class: "rows", "aria-label": "Spans of both traces", "aria-rowcount": rows.length + 1 },
      h("div", { role: "rowgroup", class: "columns-group" },
        h("div", { role: "row", class: "pair columns", "aria-rowindex": 1 }, heads)),
      this._body,
    );
    this._buttons = [["tree", "As a tree"], ["difference", "Largest difference first"]].map(([order, label]) =>
      h("button", { type: "button", "data-order": order, on: { click: () => this._sort(order) } }, label));
    const only = SIDES.map((side, index) => rows.filter((row) => !row[SIDES[1 - index]]).length);
    const facts = [several(rows.length, "row"), ...SIDES.map((side, at) => only[at] && `${count(only[at])} only ${side}`)];
    this.element = [
      h("div", { class: "toolbar", role: "group", "aria-label": "Order" }, this._buttons,
        h("span", { class: "quiet" }, facts.filter(Boolean).join(", "))),
      h("div", { class: "frame" }, this._viewport),
    ];
  }

  /** Draw the rows, once the element is in the page. */
  begin() {
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const height = Math.round((matchMedia("(max-width: 52rem)").matches ? 3.75 : 1.75) * rem);
    this._lines = new FocusRows(this._viewport, this._body, height, (index) => this._row(index), () => {});
    this._sort("tree");
  }

  dispose() {
    this._lines?.dispose();
  }

  _sort(order) {
    this._order = order;
    this._shown = orderedBy(order, this._rows);
    for (const button of this._buttons) button.setAttribute("aria-pressed", String(button.dataset.order === order));
    this._viewport.scrollTop = 0;
    this._lines.reset(this._shown.length, 0);
  }

  _row(index) {
    const row = this._shown[index];
    const only = row.left ? (row.right ? "" : "only left") : "only right";
    const depth = this._order === "tree" ? Math.min(row.depth, 12) : 0;
    const above = row.parent === null ? null : this._rows[row.parent];
    const cell = (kind, ...children) => h("div", { role: "gridcell", class: kind }, children);
    return h(
      "div",
      { role: "row", class: `pair ${only.replace(" ", "-")}`, "aria-rowindex": index + 2, style: { "--depth": depth } },
      cell("what", 
        only && h("span", { class: "chip" }, only), " ",
        (!above || above.service !== row.service || depth === 0) && h("b", {}, `${row.service} `),
        h("span", { title: `${row.service}: ${row.title}` }, row.title)),
      ...SIDES.map((side) => cell("number", this._side(row[side], side))),
      cell("delta", differenceOf(row, this._most)),
    );
  }

  _side(side, name) {
    if (!side) return h("span", { class: "quiet" }, "–");
    const times = side.count > 1 ? h("span", { class: "quiet" }, ` ${count(side.count)} ×`) : null;
    const hash = side.span_id ? `#${side.span_id}` : "";
    const errors = side.errors ? h("span", { class: "bad" }, ` ✖ ${count(side.errors)}`) : null;
    const label = `${name}: ${duration(side.total_ms)}, itself ${duration(side.self_ms)}`;
    const to = { href: `/trace/${this._ids[name]}${hash}`, tabindex: -1, title: label };
    return [times, errors, " ", h("a", to, duration(side.total_ms))];
  }
}

