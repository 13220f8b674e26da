// The service map: who calls whom, how often, how long and with how many errors.

import { get, listen, throttled } from "./api.js";
import { dataTable, errorsText } from "./data_table.js";
import { fill, h } from "./dom.js";
import { count, duration, percent, rate, several } from "./format.js";
import { drawingOf } from "./map_drawing.js";
import { addressOf, parametersOf, searchOf } from "./search.js";
import { SearchForm } from "./search_form.js";

const EVERY_MS = 2000;
const TYPING_MS = 300;

/** Show the service map of the traces that a search finds. */
export function showMap(main, url) {
  document.title = "Service map · eco2-tracing";
  let search = searchOf(url.searchParams);
  let asked = new AbortController();
  let typing = 0;
  let shown = "";
  const picture = h("div", { class: "picture", tabindex: 0, role: "region", "aria-label": "Drawing of the service map" });
  const tables = h("div", { class: "tables" });
  const remark = h("p", { class: "quiet" });

  let isLoading = false;

  async function load() {
    asked.abort();
    asked = new AbortController();
    const { signal } = asked;
    isLoading = true;
    try {
      draw(await get("/api/map", parametersOf(search), signal));
    } catch (error) {
      if (error.name !== "AbortError") fill(remark, h("span", { class: "bad" }, `The map could not be read: ${error.message}`));
    }
    isLoading = isLoading && signal !== asked.signal;
  }

  function draw(map) {
    fill(remark, sentence(map));
    const figures = JSON.stringify(map);
    if (figures === shown) return;
    shown = figures;
    const address = document.activeElement?.getAttribute?.("href");
    const links = { node: (node) => nodeAddress(node, search), call: (call) => callAddress(call, map, search) };
    picture.hidden = map.nodes.length === 0;
    fill(picture, map.nodes.length ? drawingOf(map, links) : null);
    fill(tables, map.nodes.length ? tablesOf(map, links) : h("p", {}, "No trace matches. ", h("a", { href: "/" }, "All traces")));
    if (address && document.activeElement === document.body) focusLink([picture, tables], address);
  }

  const form = new SearchForm(search, (changed) => {
    search = changed;
    history.replaceState(null, "", addressOf(search, "newest", "/map"));
    clearTimeout(typing);
    typing = setTimeout(load, TYPING_MS);
  });
  fill(main, h("h1", {}, "Service map"), form.element, remark, picture, tables);
  const again = throttled(() => (isLoading ? again() : load()), EVERY_MS);
  const end = listen({ traces: again, reload: again });
  again();
  get("/api/services").then((services) => form.offer(services), () => {});
  return () => {
    asked.abort();
    clearTimeout(typing);
    again.cancel();
    end();
  };
}

function sentence(map) {
  const found = map.found > map.traces ? ` of ${count(map.found)} found` : "";
  const more = map.more_nodes ? `; ${several(map.more_nodes, "node")} more are not shown` : "";
  const time = duration(map.seconds * 1000);
  return `${several(map.traces, "trace")}${found}, from ${time}${more}. A node or a line leads to its traces.`;
}

function tablesOf({ nodes, calls }, links) {
  const link = (address, text) => h("a", { href: address }, text);
  return [
    dataTable(
      "Calls",
      [["From"], ["To"], ["Calls", "number"], ["Rate", "number"], ["Errors", "number"], ["p50", "number"], ["p95", "number"]],
      calls.map((call) => [
        link(links.call(call), call.from), call.to, count(call.count), rate(call.per_second),
        errorsText(call.errors, percent(call.errors / call.count)), duration(call.p50_ms), duration(call.p95_ms),
      ]),
    ),
    dataTable(
      "Services and what they use",
      [["Name"], ["Kind"], ["Requests", "number"], ["Rate", "number"], ["Errors", "number"], ["p50", "number"], ["p95", "number"]],
      nodes.map((node) => [
        link(links.node(node), node.name), node.kind, count(node.spans), rate(node.per_second),
        errorsText(node.errors, percent(node.errors / node.spans)), duration(node.p50_ms), duration(node.p95_ms),
      ]),
    ),
  ];
}

// A service is found by its name; what sends no spans itself by its name in the spans of its callers.
function nodeAddress(node, search) {
  if (isService(node)) return addressOf({ ...search, service: node.name });
  return addressOf({ ...search, text: wordOf(node.name) });
}

function callAddress({ from, to }, { nodes }, search) {
  const called = nodes.find((node) => node.name === to);
  const caller = nodes.find((node) => node.name === from);
  if (!isService(caller)) return addressOf({ ...search, service: to, text: wordOf(from) });
  if (isService(called)) return addressOf({ ...search, service: to, text: from });
  return addressOf({ ...search, service: from, text: wordOf(to) });
}

function isService(node) {
  return node?.kind === "service" || node?.kind === "gateway";
}

// `postgresql shop` and `kafka orders` are a system and a name, `host:port` an address: spans have the parts.
function wordOf(name) {
  return name.split(" ").at(-1).replace(/:\d+$/, "");
}

function focusLink(elements, address) {
  for (const element of elements) {
    const link = [...element.querySelectorAll("a")].find((one) => one.getAttribute("href") === address);
    if (link) return link.focus({ preventScroll: true });
  }
  return undefined;
}
