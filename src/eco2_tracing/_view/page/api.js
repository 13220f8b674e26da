// Asks the server of this page.

/** An answer that is no success. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {string} path
 * @param {Object|URLSearchParams} [parameters] Empty ones are left out; arrays are repeated.
 * @param {AbortSignal} [signal]
 */
export async function get(path, parameters, signal) {
  const search = new URLSearchParams(query(parameters)).toString();
  const response = await fetch(search ? `${path}?${search}` : path, { signal });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, body.error ?? `HTTP ${response.status}`);
  return body;
}

/** Return the pairs of the parameters that have a value. */
export function query(parameters = {}) {
  const pairs = parameters instanceof URLSearchParams ? [...parameters] : Object.entries(parameters);
  return pairs
    .flatMap(([key, value]) => (Array.isArray(value) ? value.map((one) => [key, one]) : [[key, value]]))
    .filter(([, value]) => value !== "" && value !== null && value !== undefined);
}

const AGAIN_MS = 2000;

/**
 * Listen to arriving traces. While the page is hidden there is no connection: a browser has few for one host. The
 * event `connection` of the window says whether there is one.
 * @param {{traces: function(Object[]), reload: function(), state: (function(boolean)|undefined)}} listeners
 * @returns {function()} Ends it.
 */
export function listen({ traces, reload, state }) {
  let source = null;
  let again = 0;
  let mayHaveMissed = document.hidden; // traces that arrived without a connection
  const tell = (isOpen) => {
    state?.(isOpen);
    dispatchEvent(new CustomEvent("connection", { detail: isOpen }));
  };
  const open = () => {
    source = new EventSource("/api/live");
    source.addEventListener("open", () => {
      tell(true);
      if (mayHaveMissed) reload();
      mayHaveMissed = true;
    });
    source.addEventListener("error", () => {
      tell(false);
      if (source.readyState === EventSource.CLOSED) again = setTimeout(open, AGAIN_MS);
    });
    source.addEventListener("traces", (event) => traces(JSON.parse(event.data)));
    source.addEventListener("reload", () => reload());
  };
  const close = () => {
    clearTimeout(again);
    source?.close();
    source = null;
  };
  const turn = () => (document.hidden ? close() : source ?? open());
  document.addEventListener("visibilitychange", turn);
  turn();
  return () => {
    document.removeEventListener("visibilitychange", turn);
    close();
  };
}

/** Return a function that calls another at once, and then at most once in some milliseconds. */
export function throttled(call, everyMs) {
  let timer = 0;
  let isWanted = false;
  const run = () => {
    if (timer) {
      isWanted = true;
      return;
    }
    isWanted = false;
    call();
    timer = setTimeout(() => {
      timer = 0;
      if (isWanted) run();
    }, everyMs);
  };
  run.cancel = () => {
    clearTimeout(timer);
    timer = -1;
  };
  return run;
}
