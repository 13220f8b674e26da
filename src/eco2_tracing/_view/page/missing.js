// What to do if a trace is not held.

import { h } from "./dom.js";

/** Return the elements for a trace that is not held. */
export function missingTrace(id) {
  const beginning = new URLSearchParams({ trace_id: id });
  return h(
    "article",
    { class: "missing" },
    h("h1", {}, "This trace is not held"),
    h("p", {}, h("code", {}, id)),
    h("p", {}, "This page shows the trace as soon as it arrives. If it does not:"),
    h(
      "ul",
      {},
      h("li", {}, "The service may send its spans elsewhere. They arrive with ", h("code", {}, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"), " or if ", h("code", {}, "eco2-tracing view -- COMMAND"), " starts it."),
      h("li", {}, "The trace may not be sampled. ", h("code", {}, "eco2-tracing view -- COMMAND"), " records every trace."),
      h("li", {}, "It may have been removed: the oldest traces go when the limit is reached. ", h("code", {}, "--store FILE"), " keeps traces of earlier starts."),
      h("li", {}, "The id may be the beginning of several: ", h("a", { href: `/?${beginning}` }, "traces whose id begins so"), "."),
      h("li", {}, "The command ", h("code", {}, "eco2-tracing doctor"), " checks how a service sends its spans."),
    ),
    h("p", {}, h("a", { href: "/" }, "All traces")),
  );
}
