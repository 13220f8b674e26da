// The form of a search for traces.

import { announce, fill, h, navigate } from "./dom.js";
import { several } from "./format.js";
import { setFields, traceIdIn } from "./search.js";

const STATUSES = ["error", "ok", "2xx", "3xx", "4xx", "5xx", "404", "500"];

let made = 0; // forms: their ids differ

/** The form. It calls `changed(search)` while one types. */
export class SearchForm {
  /** @param {Object} search As `searchOf` returns it. */
  constructor(search, changed) {
    this._changed = changed;
    this._services = h("select", { on: { change: () => this._read() } });
    this._inputs = {
      text: this._input("search", { class: "text", placeholder: "text in spans and logs, or a trace id", on: { paste: pasted } }),
      route: this._input("text", { placeholder: "/cart" }),
      status: this._input("text", { class: "short", placeholder: "5xx", list: `statuses-${(made += 1)}` }),
      min_ms: this._input("number", { class: "short", min: 0, step: "any" }),
      max_ms: this._input("number", { class: "short", min: 0, step: "any" }),
    };
    this._attribute = h("input", { placeholder: "key=value", on: { change: () => this._addAttribute() } });
    this._chips = h("div", { class: "toolbar chips" });
    this._more = h("button", { type: "button", class: "unfold", "aria-expanded": "false", on: { click: () => this._fold() } });
    this.element = h(
      "form",
      { role: "search", class: "search", on: { submit: (event) => this._submitted(event) } },
      field("Find", this._inputs.text, "wide"),
      this._more,
      field("Service", this._services, "fold"),
      field("Route or name", this._inputs.route, "fold"),
      field("Status", this._inputs.status, "fold"),
      field("From (ms)", this._inputs.min_ms, "fold"),
      field("To (ms)", this._inputs.max_ms, "fold"),
      field("Attribute", this._attribute, "fold"),
      h("datalist", { id: `statuses-${made}` }, STATUSES.map((one) => h("option", { value: one }))),
      h("button", { class: "visually-hidden", tabindex: -1, "aria-hidden": "true" }, "Search"),
      this._chips,
    );
    this.offer([]);
    this.set(search);
  }

  /** Show a search. */
  set(search) {
    this.search = search;
    for (const [name, input] of Object.entries(this._inputs)) {
      if (input.value.trim() !== search[name]) input.value = search[name];
    }
    this.offer(this.offered);
    fill(
      this._chips,
      search.trace_id && this._chip(`trace id ${search.trace_id}`, { trace_id: "" }),
      search.attribute.map((one) => this._chip(one, { attribute: search.attribute.filter((other) => other !== one) })),
    );
    this._chips.hidden = this._chips.childElementCount === 0;
    const folded = setFields(search) - Number(search.text !== "");
    fill(this._more, folded ? `More (${several(folded, "field")} set)` : "More");
  }

  /** Change some fields, as if they had been typed. */
  change(fields) {
    this.set({ ...this.search, ...fields });
    this._changed(this.search);
  }

  /** Offer these services. */
  offer(services) {
    const { service = "" } = this.search ?? {};
    this.offered = services;
    const all = service && !services.includes(service) ? [service, ...services] : services;
    fill(this._services, h("option", { value: "" }, "all"), all.map((one) => h("option", { value: one }, one)));
    this._services.value = service;
  }

  /** Go to the field of the text. */
  focus() {
    this._inputs.text.focus();
    this._inputs.text.select();
  }

  _input(type, properties) {
    const on = { input: () => this._read(), ...properties.on };
    return h("input", { type, autocomplete: "off", spellcheck: "false", ...properties, on });
  }

  _read() {
    const typed = Object.entries(this._inputs).map(([name, input]) => [name, input.value.trim()]);
    this.change({ service: this._services.value, ...Object.fromEntries(typed) });
  }

  _submitted(event) {
    event.preventDefault();
    const id = traceIdIn(this._inputs.text.value);
    if (id) navigate(`/trace/${id}`);
    else if (this._attribute.value) this._addAttribute();
    else this._read();
  }

  _addAttribute() {
    const text = this._attribute.value.trim();
    this._attribute.value = "";
    if (text && !this.search.attribute.includes(text)) this.change({ attribute: [...this.search.attribute, text] });
  }

  _chip(text, without) {
    const click = () => {
      this.change(without);
      this._attribute.focus();
      announce(`${text} is no condition any more`);
    };
    return h("button", { type: "button", "aria-label": `Remove ${text}`, on: { click } }, `${text} ×`);
  }

  _fold() {
    const isOpen = this.element.classList.toggle("open");
    this._more.setAttribute("aria-expanded", String(isOpen));
  }
}

function field(label, input, kind) {
  return h("label", { class: kind }, h("span", {}, label), input);
}

function pasted(event) {
  const id = traceIdIn(event.clipboardData.getData("text"));
  if (!id) return;
  event.preventDefault();
  navigate(`/trace/${id}`);
}
