// The page of one trace.

import { ApiError, get, listen } from "./api.js";
import { fill, h } from "./dom.js";
import { missingTrace } from "./missing.js";

const LEAST_WAIT_MS = 500; // between two requests for a trace that grows

/** Show the trace of an address: `/trace/<id>`, or with `#<span id>`. */
export function showTrace(main, url) {
  const id = decodeURIComponent(url.pathname.split("/")[2]).toLowerCase();
  const wantedSpan = url.hash.slice(1);
  const ending = new AbortController();
  let view = null;
  let timer = 0;
  let isLoading = false;
  let isStale = false;

  async function load() {
    isLoading = true;
    isStale = false;
    const begin = performance.now();
    try {
      const trace = get(`/api/traces/${encodeURIComponent(id)}`, {}, ending.signal);
      take(...(await Promise.all([trace, import("./trace_view.js")]))); // the module is read beside the trace
    } catch (error) {
      if (!ending.signal.aborted) fail(error);
    }
    isLoading = false;
    // A large trace is asked for less often.
    timer = setTimeout(() => isStale && load(), Math.max(LEAST_WAIT_MS, 4 * (performance.now() - begin)));
  }

  function again() {
    isStale = true;
    if (isLoading) return;
    clearTimeout(timer);
    timer = setTimeout(load, LEAST_WAIT_MS);
  }

  function take(trace, { TraceView }) {
    if (view) {
      view.load(trace);
      return;
    }
    fill(main);
    view = new TraceView(main, trace, wantedSpan);
  }

  function fail(error) {
    if (view) return; // what was shown stays, also if the trace was removed
    document.title = "No such trace · eco2-tracing";
    fill(main, error instanceof ApiError && error.status === 404 ? missingTrace(id) : unreadable(error, load));
  }

  fill(main, h("p", { class: "quiet" }, "Reading the trace…"));
  load();
  const stop = listen({
    traces: (found) => found.some(({ trace_id: one }) => one.startsWith(id)) && again(),
    reload: again,
  });
  return () => {
    stop();
    ending.abort();
    clearTimeout(timer);
    view?.dispose();
  };
}

function unreadable(error, again) {
  const button = h("button", { type: "button", on: { click: again } }, "Try again");
  return [h("h1", {}, "The trace could not be read"), h("p", { class: "bad" }, error.message), h("p", {}, button)];
}
