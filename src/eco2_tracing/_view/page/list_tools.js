// The line of buttons above the list of traces.

import { fill, h } from "./dom.js";
import { several } from "./format.js";
import { orderChoice } from "./list_row.js";

/** The buttons, and how many traces there are. */
export class ListTools {
  /** @param {Object<string, function>} calls What each button does: `errors`, `slow`, `first`, `pause`, … */
  constructor(calls) {
    const button = (text, call, properties) => h("button", { type: "button", ...properties, on: { click: call } }, text);
    const toggle = (text, call, properties) => button(text, call, { "aria-pressed": "false", ...properties });
    this._errors = toggle("✖ Errors", calls.errors);
    this._slow = toggle("Slowest 5 %", calls.slow);
    this._first = toggle("Errors first", calls.first, { class: "wide-only" });
    this._pause = toggle("Pause", calls.pause, { title: "Key p" });
    this._order = orderChoice(calls.sort);
    this._number = h("span", { class: "quiet" });
    this._chosen = h("span", {});
    this._compare = button("Compare", calls.compare, { title: "Key C" });
    this._choice = h("span", { class: "toolbar choice", hidden: true }, this._chosen, this._compare, button("Clear", calls.clear));
    const release = () => {
      this._pause.focus(); // this button goes
      calls.release();
    };
    this._new = button("", release, { class: "new", hidden: true });
    this.element = h(
      "div",
      { class: "toolbar", role: "group", "aria-label": "Rows" },
      this._errors, this._slow, this._first, this._pause, h("span", { class: "order" }, this._order),
      this._number, this._choice, button("Keys ?", calls.keys, { class: "wide-only end", "aria-haspopup": "dialog" }), this._new,
    );
  }

  /** Show what the list shows. */
  show({ text, failed, isNothing, search, order, waits }) {
    fill(this._number, failed ?? (isNothing ? "" : text));
    this._number.classList.toggle("bad", Boolean(failed));
    press(this._errors, search.status === "error");
    press(this._slow, search.min_ms !== "");
    press(this._first, order === "errors");
    this._order.value = order;
    this._new.hidden = waits === 0;
    fill(this._new, `↑ ${several(waits, "new trace")}`);
  }

  /** Show how many traces are chosen for a comparison. */
  showChosen(number) {
    this._choice.hidden = number === 0;
    this._compare.disabled = number < 2;
    fill(this._chosen, `${number} of 2 chosen`);
  }

  /** Show whether the list is paused. */
  showPaused(isPaused) {
    press(this._pause, isPaused);
  }
}

function press(button, isPressed) {
  button.setAttribute("aria-pressed", String(isPressed));
}
