// What stands around the rows of the list: how much is held, and what to do if there is nothing.

import { fill, h } from "./dom.js";
import { bytes, count, several } from "./format.js";

/** Fill an element with how much the server holds, has removed and has refused. */
export function fillCounts(element, counts) {
  const held = [several(counts.traces, "trace"), several(counts.spans, "span"), several(counts.logs, "log record")];
  const refused = Object.entries(counts.refused).map(([reason, number]) => `${count(number)} ${reason}`);
  fill(
    element,
    h("span", {}, `Held: ${held.join(", ")}; ${bytes(counts.bytes)} of ${bytes(counts.most_bytes)}.`),
    counts.removed_traces > 0 && h("span", {}, ` Removed for the limit: ${several(counts.removed_traces, "trace")}.`),
    refused.length > 0 && h("span", { class: "warn" }, ` Refused: ${refused.join("; ")}.`),
  );
}

/** Return what to do if no trace has arrived. */
export function howToSend() {
  return h(
    "div",
    { class: "empty" },
    h("h2", {}, "No trace has arrived yet"),
    h("ol", {},
      h("li", {}, "Start your service with the viewer: ", h("code", {}, "eco2-tracing view -- uvicorn app:app --reload")),
      h("li", {}, "Or set this for a service that runs by itself: ",
        h("code", {}, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317"),
        " (OTLP over HTTP is on 4318, Zipkin on 9411, unless the terminal names other ports)"),
      h("li", {}, "Then send a request. Its trace appears here; there is no need to load the page again.")),
  );
}

/** Return what to do if nothing matches. */
export function nothingFound(isSearching, clear) {
  if (isSearching) return h("div", { class: "empty" }, h("p", {}, "Searching …"));
  return h(
    "div",
    { class: "empty" },
    h("h2", {}, "No trace matches this search"),
    h("p", {}, h("button", { type: "button", on: { click: clear } }, "Clear the search")),
  );
}
