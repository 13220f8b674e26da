// The keys of the page of a trace, and the dialog that lists them.

import { h } from "./dom.js";

const STORED = "eco2-tracing.single-keys";
const FIXED = [
  ["↑ ↓ PgUp PgDn Home End", "another row"],
  ["→ ←", "open or close a row, go to its first child or its parent"],
  ["Enter", "open a group; go to the details of a span"],
  ["Escape", "back to the rows; end the search"],
  ["Shift ← Shift →", "show the time before or after"],
];

const REMARK = "In a bar: a dark line is the critical path, a hatched part is time in which no child runs.";

/** Keys that act while no field has the focus. They can be switched off, for those whose software types keys. */
export class Keys {
  /**
   * @param {[string, string, function()][]} actions Each with its key, what it does, and the function that does it.
   * @param {[string, string][]} fixed The keys that rows have themselves.
   */
  constructor(actions, fixed = FIXED, remark = REMARK) {
    this._actions = actions;
    this._listener = (event) => this._key(event);
    document.addEventListener("keydown", this._listener);
    const single = h("input", { type: "checkbox", checked: isOn() });
    single.addEventListener("change", () => store(single.checked));
    this.dialog = h(
      "dialog",
      { class: "keys", "aria-labelledby": "keys-title" },
      h("form", { method: "dialog" }, h("h2", { id: "keys-title" }, "Keys"), h("button", { "aria-label": "Close" }, "✕")),
      h("table", {}, h("tbody", {}, [...actions.filter(([, what]) => what), ...fixed].map(([key, what]) => row(key, what)))),
      h("p", {}, h("label", {}, single, " Keys of a single character are on")),
      remark ? h("p", { class: "quiet" }, remark) : null,
    );
  }

  show() {
    this.dialog.showModal();
  }

  dispose() {
    document.removeEventListener("keydown", this._listener);
    this.dialog.remove();
  }

  _key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented || this.dialog.open) return;
    if (event.target.closest?.("input:not([type=checkbox], [type=radio]), select, textarea, [contenteditable]")) return;
    const key = event.shiftKey && event.key.startsWith("Arrow") ? `Shift ${event.key}` : event.key;
    const action = this._actions.find(([one]) => one === key);
    if (!action || (key.length === 1 && !isOn())) return;
    event.preventDefault();
    action[2]();
  }
}

function row(key, what) {
  return h("tr", {}, h("th", { scope: "row" }, key.split(" ").length > 1 ? key : h("kbd", {}, key)), h("td", {}, what));
}

function isOn() {
  return localStorage.getItem(STORED) !== "off";
}

function store(on) {
  localStorage.setItem(STORED, on ? "on" : "off");
}
