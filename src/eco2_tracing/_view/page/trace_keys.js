// The keys of the page of a trace that act anywhere on it.

/**
 * @param {Object<string, function>} actions Those of the toolbar, with `otherTab()`, `toFind()` and `zoom(span)`.
 * @param {function(): (Object|undefined)} selected Returns the selected span.
 * @returns {[string, string, function()][]} Each with its key, what it does, and the function that does it.
 */
export function traceKeys(actions, range, selected) {
  const middle = () => {
    const span = selected();
    return span ? span.offset_ms + span.duration_ms / 2 : undefined;
  };
  return [
    ["e", "next error", () => actions.error(1)],
    ["E", "previous error", () => actions.error(-1)],
    ["/", "find in the trace; also Ctrl F", actions.toFind],
    ["n", "next match", () => actions.match(1)],
    ["N", "previous match", () => actions.match(-1)],
    ["l", "waterfall or log lines", actions.otherTab],
    ["x", "expand all", actions.expandAll],
    ["c", "collapse all", actions.collapseAll],
    ["o", "open errors, close the rest", actions.openErrors],
    ["p", "critical path on or off", actions.critical],
    ["h", "spans of proxies on or off", actions.hops],
    ["v", "log lines and events on or off", actions.notes],
    ["z", "zoom to the selected span", () => selected() && actions.zoom(selected())],
    ["+", "zoom in", () => range.scale(0.5, middle())],
    ["-", "zoom out", () => range.scale(2, middle())],
    ["0", "whole time", actions.wholeTime],
    ["?", "these keys", actions.keys],
    ["Shift ArrowLeft", "", () => range.pan(-0.25)],
    ["Shift ArrowRight", "", () => range.pan(0.25)],
  ];
}
