// One row of the list of traces, and its head.

import { h } from "./dom.js";
import { clock, count, duration } from "./format.js";
import { FIRST_ORDER, ORDERS } from "./trace_rows.js";

const COLUMNS = [
  ["start", "Start"], ["service", "Service"], ["name", "Route or name"], ["status", "Status"],
  ["duration", "Duration"], ["spans", "Spans"], ["errors", "Errors"], ["logs", "Logs"],
];

/**
 * Return the head of the columns.
 * @param {function(string)} choose Called with the name of the order that a click chooses.
 * @returns {{element: HTMLElement, mark: function(string)}} `mark` shows which order there is.
 */
export function headOf(choose) {
  let order = "";
  const cells = COLUMNS.map(([column, label]) => {
    const click = () => choose(ORDERS[order]?.column === column ? ORDERS[order].other : FIRST_ORDER[column]);
    const button = h("button", { type: "button", on: { click } }, label);
    return h("div", { role: "columnheader", class: `cell of-${column}` }, button);
  });
  const chosen = h("div", { role: "columnheader", class: "cell of-chosen" }, h("span", { class: "visually-hidden" }, "Chosen"));
  const mark = (name) => {
    order = name;
    cells.forEach((cell, index) => {
      const isOrder = ORDERS[name].column === COLUMNS[index][0];
      if (isOrder) cell.setAttribute("aria-sort", ORDERS[name].direction);
      else cell.removeAttribute("aria-sort");
    });
  };
  return { element: h("div", { role: "row", class: "columns", "aria-rowindex": 1 }, chosen, cells), mark };
}

/** Return the choice of an order, for windows that are too narrow for the head. */
export function orderChoice(choose) {
  const options = COLUMNS.flatMap(([column, label]) => {
    const first = FIRST_ORDER[column];
    const sign = (name) => (ORDERS[name].direction === "descending" ? "▼" : "▲");
    return [first, ORDERS[first].other].map((name) => h("option", { value: name }, `${label} ${sign(name)}`));
  });
  return h("select", { "aria-label": "Order", on: { change: (event) => choose(event.target.value) } }, options);
}

/** Return the element of a row; `choose` is called with the id of the trace whose box is clicked. */
export function rowOf(row, index, isChosen, choose) {
  const others = row.services.filter((one) => one !== row.service);
  const on = { change: () => choose(row.trace_id) };
  const box = h("input", { type: "checkbox", tabindex: -1, "aria-label": "Choose for a comparison", on });
  box.checked = isChosen;
  const cell = (column, ...children) => h("div", { role: "gridcell", class: `cell of-${column}` }, children);
  const isNumber = /^\d+$/.test(row.status);
  return h(
    "div",
    { role: "row", class: `entry${row.errors ? " failed" : ""}`, "aria-rowindex": index + 2, "data-id": row.trace_id },
    cell("chosen", box),
    cell("start", clock(row.at)),
    h("div", { role: "gridcell", class: "cell of-service", title: row.services.join(", ") }, row.service || "(unknown)",
      others.length > 0 && h("span", { class: "quiet" }, ` ${others.join(", ")}`)),
    h("div", { role: "gridcell", class: "cell of-name", title: row.title },
      h("a", { href: `/trace/${row.trace_id}`, tabindex: -1 }, row.title)),
    cell("status", row.status && h("span", { class: isNumber ? `status-${row.status[0]}` : "" }, row.status)),
    h("div", { role: "gridcell", class: "cell of-duration" },
      h("span", { class: "length", style: { "--ms": row.duration_ms } }), h("span", {}, duration(row.duration_ms))),
    cell("spans", count(row.spans), h("span", { class: "unit" }, row.spans === 1 ? " span" : " spans")),
    cell("errors", row.errors > 0 && h("span", { class: "bad" }, `✖ ${count(row.errors)}`)),
    cell("logs", row.logs > 0 && [count(row.logs), h("span", { class: "unit" }, row.logs === 1 ? " log" : " logs")]),
  );
}
