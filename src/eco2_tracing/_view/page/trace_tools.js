// The tools of the page of a trace: which list is shown, the search, the errors, and what the waterfall shows.

import { h } from "./dom.js";
import { count, several } from "./format.js";

/** The toolbar. Each action is a method of `actions`. */
export class TraceTools {
  /**
   * @param {Object<string, function>} actions `tab(name)`, `find(text)`, `match(step)`, `error(step)`, `expandAll()`,
   *   `collapseAll()`, `openErrors()`, `critical()`, `hops()`, `notes()`, `wholeTime()`, `keys()`.
   */
  constructor(actions) {
    this._tabs = { spans: press("Waterfall", () => actions.tab("spans")), logs: press("Log lines", () => actions.tab("logs")) };
    this.input = h("input", { type: "search", placeholder: "Find in the trace", "aria-label": "Find in the trace" });
    this.input.addEventListener("input", () => actions.find(this.input.value));
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") actions.match(event.shiftKey ? -1 : 1);
      else if (event.key === "Escape") actions.endFind();
      else return;
      event.preventDefault();
    });
    this._found = h("span", { class: "quiet found", role: "status" });
    this._matches = h("span", { class: "joined", hidden: true }, act("‹", () => actions.match(-1), "Previous match"), act("›", () => actions.match(1), "Next match"));
    this._errorCount = h("span", { class: "bad" });
    this._errors = h(
      "span",
      { class: "joined", hidden: true },
      act("‹", () => actions.error(-1), "Previous error (E)"),
      this._errorCount,
      act("›", () => actions.error(1), "Next error (e)"),
    );
    this._critical = press("Critical path", actions.critical);
    this._hops = press("Proxies", actions.hops);
    this._notes = press("Logs and events", actions.notes);
    this._reset = act("Whole time", actions.wholeTime);
    this._toErrors = act("Open errors", actions.openErrors);
    this._ofSpans = h(
      "span",
      { class: "toolbar of-spans", id: "view-of-spans" },
      act("Expand all", actions.expandAll),
      act("Collapse all", actions.collapseAll),
      this._toErrors,
      this._critical,
      this._hops,
      this._notes,
      this._reset,
    );
    // In narrow windows the tools of the waterfall are shown on demand.
    this._more = h("button", { type: "button", class: "more", "aria-expanded": "false", "aria-controls": "view-of-spans" }, "View");
    this._more.addEventListener("click", () => {
      const isOpen = this.element.classList.toggle("open");
      this._more.setAttribute("aria-expanded", String(isOpen));
    });
    this.element = h(
      "div",
      { class: "toolbar tools" },
      h("span", { class: "joined" }, Object.values(this._tabs)),
      h("span", { class: "joined find", role: "search" }, this.input, this._matches, this._found),
      this._errors,
      this._more,
      this._ofSpans,
      act("Keys ?", actions.keys),
    );
  }

  /** Show what a trace has. */
  load(trace) {
    const failed = trace.spans.filter(({ status }) => status === "error").length;
    this._errors.hidden = failed === 0;
    this._toErrors.hidden = failed === 0;
    this._errorCount.textContent = ` ✖ ${several(failed, "error")} `;
    this._hops.hidden = !trace.spans.some(({ hop }) => hop);
    this._notes.hidden = trace.logs.length === 0 && !trace.spans.some(({ events }) => events.length);
    this._tabs.logs.textContent = `Log lines (${count(trace.logs.length)})`;
  }

  /** Show what is switched on. */
  update({ tab, critical, hops, notes, isWhole }) {
    for (const [name, button] of Object.entries(this._tabs)) button.setAttribute("aria-pressed", String(name === tab));
    this._critical.setAttribute("aria-pressed", String(critical));
    this._hops.setAttribute("aria-pressed", String(hops));
    this._notes.setAttribute("aria-pressed", String(notes));
    this._reset.hidden = isWhole;
    this._ofSpans.hidden = this._more.hidden = tab !== "spans";
  }

  /** Show how many places were found, and which is the current one; -1 is none. */
  found(total, at) {
    const text = this.input.value.trim() === "" ? "" : total === 0 ? "none" : at < 0 ? `${count(total)} found` : `${count(at + 1)} of ${count(total)}`;
    this._found.textContent = text;
    this._matches.hidden = total === 0;
  }
}

function act(label, action, name) {
  return h("button", { type: "button", "aria-label": name, title: name, on: { click: () => action() } }, label);
}

function press(label, action) {
  return h("button", { type: "button", "aria-pressed": "false", on: { click: () => action() } }, label);
}
