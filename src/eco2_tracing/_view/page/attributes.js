// Attributes as tables, by what they are about.

import { append, copy, h, svg } from "./dom.js";
import { marked } from "./find.js";
import { count } from "./format.js";
import { valueText } from "./notes.js";

const LONG = 1000; // characters shown of a value at first
const WIDE = 40; // characters of a value that goes below its key
const MANY = 60; // attributes shown at first

const GROUPS = [
  ["HTTP", /^(http|url|user_agent)\./],
  ["Database", /^db\./],
  ["Messaging", /^messaging\./],
  ["RPC", /^rpc\./],
  ["Network", /^(server|client|network|net|peer|source|destination)\./],
  ["Proxy", /^(istio|envoy|upstream_|downstream_|response_flags|node_id|guid:|zone$|peer\.address|component$)/],
  ["Error", /^(error|exception)\b/],
  ["Code", /^(code|thread)\./],
  ["Tracing", /^(otel|sampling|sampler|eco2)\b/],
];
const ORDER = ["Application", ...GROUPS.map(([name]) => name)];

/** Return attributes by their group: `[name, [[key, value], …]]`, the application's own first. */
export function grouped(attributes) {
  const found = new Map();
  for (const pair of Object.entries(attributes)) {
    const name = GROUPS.find(([, keys]) => keys.test(pair[0]))?.[0] ?? "Application";
    if (!found.has(name)) found.set(name, []);
    found.get(name).push(pair);
  }
  return ORDER.filter((name) => found.has(name)).map((name) => [name, found.get(name)]);
}

/**
 * Return a table of attributes.
 * @param {string} wanted A text that is marked.
 * @param {boolean} [canSearch] Each row has a link to the traces with the attribute.
 */
export function attributeTable(pairs, wanted, canSearch = false) {
  const body = h("tbody");
  const more = fillFirst(body, pairs, MANY, (pair) => attributeRow(pair, wanted, canSearch));
  return [h("table", { class: "attributes" }, body), more];
}

/** Fill an element with the first items of a list; return a button that adds the others, or null. */
export function fillFirst(element, items, most, draw) {
  append(element, items.slice(0, most).map(draw));
  if (items.length <= most) return null;
  const more = h("button", { type: "button" }, `Show all ${count(items.length)}`);
  more.addEventListener("click", () => {
    append(element, items.slice(most).map(draw));
    more.remove();
  });
  return more;
}

function attributeRow([key, value], wanted, canSearch) {
  const text = valueText(value);
  const search = new URLSearchParams({ attribute: `${key}=${text}` });
  return h(
    "tr",
    { class: text.length > WIDE ? "wide" : null },
    h("th", { scope: "row" }, breakable(key, wanted)),
    h("td", {}, longText(typeof value === "object" && value !== null ? JSON.stringify(value, null, 1) : text, wanted)),
    h(
      "td",
      { class: "actions" },
      copyButton(text, key),
      canSearch && text.length < 200 ? h("a", { href: `/?${search}`, "aria-label": `Traces with this ${key}`, title: "Traces with this" }, "⌕") : null,
    ),
  );
}

/** Return a text whose end is shown on demand. */
export function longText(text, wanted) {
  if (text.length <= LONG * 1.2) return h("span", { class: "value" }, marked(text, wanted));
  const shown = h("span", { class: "value" }, marked(text.slice(0, LONG), wanted), "… ");
  const more = h("button", { type: "button" }, `Show all ${count(text.length)} characters`);
  more.addEventListener("click", () => {
    shown.replaceChildren(...h("span", {}, marked(text, wanted)).childNodes);
    more.remove();
  });
  return [shown, more];
}

/** Return a small button that copies a text. */
export function copyButton(text, what) {
  const button = h("button", { type: "button", class: "copy", "aria-label": `Copy ${what.slice(0, 100)}` }, copyIcon());
  button.addEventListener("click", (event) => {
    event.stopPropagation();
    copy(text, what);
  });
  return button;
}

function copyIcon() {
  const sheets = svg("path", { d: "M4.5 4V1.5h8v8.5h-3M1.5 4.5h8v8.5h-8z", fill: "none", stroke: "currentColor" });
  return svg("svg", { width: 14, height: 14, viewBox: "0 0 14 14", "aria-hidden": "true" }, sheets);
}

// A key that is broken behind its dots and underscores if it is long.
function breakable(key, wanted) {
  const nodes = marked(key, wanted);
  if (nodes.length > 1 || key.length > 200) return nodes;
  return key.split(/(?<=[._/])/).map((part, index) => (index ? [h("wbr"), part] : part));
}
