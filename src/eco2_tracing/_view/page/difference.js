// Differences as texts, bars and orders.

import { h } from "./dom.js";
import { change, percent } from "./format.js";

/** Return a difference of milliseconds with its share: `+12.0 ms (+34 %)`. */
export function differenceText(before, after) {
  const delta = after - before;
  if (Math.abs(delta) < 5e-4) return "no difference";
  if (before <= 0) return change(delta);
  return `${change(delta)} (${delta < 0 ? "−" : "+"}${percent(Math.abs(delta) / before)})`;
}

/** Return the bar and the text of a row's difference; `most` is that of the longest bar. More time is to the right. */
export function differenceOf(row, most) {
  const share = Math.abs(row.delta_ms) / most;
  const kind = row.delta_ms > 0 ? "longer" : "shorter";
  const text = row.left && row.right ? differenceText(row.left.total_ms, row.right.total_ms) : change(row.delta_ms);
  return [
    h("span", { class: `signed ${kind}`, style: { "--share": share }, "aria-hidden": "true" }),
    h("span", { class: share < 0.01 ? "quiet" : "" }, text),
  ];
}

/** Return rows as a tree, or those first whose duration differs most. */
export function orderedBy(order, rows) {
  if (order === "tree") return rows;
  return [...rows].sort((a, b) => Math.abs(b.delta_ms) - Math.abs(a.delta_ms));
}
