// The cells of one route of two builds, with what has changed.

import { h } from "./dom.js";
import { count, duration, percent } from "./format.js";

const SHARE = 0.2; // a duration has changed if it differs by so much
const LEAST_MS = 0.5; // and by so many milliseconds
const STEP = 0.05; // of spans and calls a request
const LEAST_SHARE = 0.02; // of requests with errors
const LEAST_REQUESTS = 3; // of each build, for durations and errors to be compared

/** Return the cells of a route. A change has a sign and a word; more time, errors and calls are worse. */
export function changesOf({ name, left, right }) {
  const state = left ? (right ? "" : "only before") : "only after";
  const both = (pick, format, hasChanged) => pair(left && pick(left), right && pick(right), format, hasChanged);
  const areEnough = Math.min(left?.traces ?? 0, right?.traces ?? 0) >= LEAST_REQUESTS;
  const times = (a, b) => areEnough && Math.abs(b - a) >= LEAST_MS && Math.abs(b - a) >= SHARE * a;
  const amounts = (a, b) => Math.abs(b - a) >= STEP;
  const mean = (value) => String(Number(value.toFixed(1)));
  const calls = (kind) => (side) => side.calls?.[kind] ?? 0;
  return [
    [name, state && [" ", h("span", { class: "chip" }, state)]],
    both((side) => side.traces, count, () => false),
    both((side) => side.p50_ms, duration, times),
    both((side) => side.p95_ms, duration, times),
    both((side) => side.error_share, percent, (a, b) => areEnough && Math.abs(b - a) >= LEAST_SHARE),
    both((side) => side.spans, mean, amounts),
    both(calls("sql"), mean, amounts),
    both(calls("http"), mean, amounts),
    links(left, right),
  ];
}

function pair(before, after, format, hasChanged) {
  if (before === null || after === null) return h("span", { class: "quiet" }, format(before ?? after));
  if (!hasChanged(before, after)) {
    const isSame = format(before) === format(after);
    return isSame ? format(after) : h("span", { class: "quiet" }, `${format(before)} → ${format(after)}`);
  }
  const isMore = after > before;
  return h(
    "span",
    { class: `changed ${isMore ? "bad" : "good"}` },
    `${format(before)} → ${format(after)} `,
    h("span", { "aria-label": isMore ? "more" : "less" , role: "img" }, isMore ? "▲" : "▼"),
  );
}

function links(left, right) {
  const both = left && right && left.trace_id !== right.trace_id;
  if (both) return h("a", { href: `/compare?left=${left.trace_id}&right=${right.trace_id}` }, "Compare typical traces");
  return h("a", { href: `/trace/${(right ?? left).trace_id}` }, "A typical trace");
}
