// The head of the page of a trace: its figures, what can be done with it, and what is wrong with it.

import { get } from "./api.js";
import { copyButton } from "./attributes.js";
import { append, fill, h, navigate } from "./dom.js";
import { clock, duration, milliseconds, several } from "./format.js";
import { errorSign, short } from "./rows.js";
import { badge } from "./services.js";

const FORMATS = [["otlp", "OTLP JSON"], ["jaeger", "Jaeger JSON"], ["html", "HTML"], ["md", "Markdown"]];
const MOST_SERVICES = 12;
const MOST_OTHERS = 10;

/** Return the first span of a service from the top: proxies before it name no route. */
export function leadOf({ order, spans }) {
  return spans[order.find((index) => !spans[index].hop) ?? order[0]];
}

/** Return the elements of the head. */
export function traceHead(tree, marks) {
  const { trace } = tree;
  const lead = leadOf(tree);
  const kept = lead?.kept ?? trace.spans.find((span) => span.kept)?.kept;
  const failed = trace.spans.filter(({ status }) => status === "error").length;
  const isBad = /^5/.test(trace.status) || lead?.status === "error";
  return [
    h(
      "div",
      { class: "headline" },
      h("a", { href: "/" }, "← Traces"),
      h("h1", {}, lead ? short(lead.title, 160) || "Span without name" : "Trace with log lines only"),
      trace.status ? h("span", { class: isBad ? "chip bad" : "chip" }, isBad ? "✖ " : "", trace.status) : null,
      h("strong", { class: "took" }, duration(trace.duration_ms)),
      exports(trace),
      comparison(trace, lead),
    ),
    h(
      "ul",
      { class: "figures" },
      trace.start_ns === "0" ? null : h("li", {}, clock(milliseconds(trace.start_ns))),
      h("li", {}, several(trace.spans.length + trace.more_spans, "span")),
      failed ? h("li", { class: "bad" }, errorSign(), ` ${several(failed, "error")}`) : h("li", {}, "no errors"),
      trace.logs.length ? h("li", {}, several(trace.logs.length + trace.more_logs, "log line")) : null,
      h("li", { class: "services" }, services(marks)),
      kept ? h("li", {}, kept.text) : null,
      h("li", {}, h("code", {}, trace.trace_id), " ", copyButton(trace.trace_id, "trace id")),
    ),
    remarks(trace),
  ];
}

function services(marks) {
  const named = [...marks].slice(0, MOST_SERVICES).map(([name, mark]) => h("span", {}, badge(mark, name), ` ${short(name, 60) || "unnamed service"}`));
  return [named, marks.size > MOST_SERVICES ? ` and ${marks.size - MOST_SERVICES} more` : null];
}

function exports(trace) {
  const links = FORMATS.map(([format, name]) => h("a", { href: `/api/traces/${trace.trace_id}/export?format=${format}`, download: "" }, name));
  return h("span", { class: "links" }, "Export: ", links.map((link) => [link, " "]));
}

function remarks(trace) {
  const more = trace.more_spans ? [`${several(trace.more_spans, "more span")} not shown; the exports have all`] : [];
  const texts = [...trace.remarks, ...more];
  if (texts.length === 0) return null;
  return h("ul", { class: "remarks warn", "aria-label": "Remarks" }, texts.map((text) => h("li", {}, `⚠ ${text}`)));
}

// Choose the trace to compare with: a trace id, or one of the same route.
function comparison(trace, lead) {
  const input = h("input", { name: "left", "aria-label": "Trace id", placeholder: "trace id", size: 34, required: true, pattern: "\\s*[0-9a-fA-F]{1,32}\\s*" });
  const others = h("div", {});
  const form = h("form", {}, input, " ", h("button", {}, "Compare"));
  const box = h("details", { class: "compare-with" }, h("summary", {}, "Compare with…"), h("div", { class: "box" }, form, others));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    navigate(address(input.value.trim(), trace));
  });
  box.addEventListener("toggle", () => box.open && suggest(others, trace, lead));
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    box.open = false;
    box.firstElementChild.focus();
  });
  return box;
}

function address(left, trace) {
  return `/compare?${new URLSearchParams({ left, right: trace.trace_id })}`;
}

async function suggest(element, trace, lead) {
  fill(element, h("p", { class: "quiet" }, "Looking for traces of the same route…"));
  const route = lead?.attributes["http.route"] ?? trace.name;
  try {
    const { traces } = await get("/api/traces", { route, limit: 200 });
    const begin = BigInt(trace.start_ns);
    const same = traces.filter((one) => one.trace_id !== trace.trace_id && one.name === trace.name);
    const earlier = same.filter((one) => BigInt(one.start_ns) <= begin);
    fill(element, others("Earlier", earlier, trace), others("Later", same.filter((one) => !earlier.includes(one)).reverse(), trace));
    if (same.length === 0) append(element, [h("p", { class: "quiet" }, "No other trace of this route is held.")]);
  } catch (error) {
    fill(element, h("p", { class: "bad" }, `The list could not be read: ${error.message}`));
  }
}

function others(title, traces, trace) {
  if (traces.length === 0) return null;
  const items = traces.slice(0, MOST_OTHERS).map((one, index) => {
    const name = title === "Earlier" && index === 0 ? "The previous: " : "";
    const text = `${name}${clock(milliseconds(one.start_ns))}, ${duration(one.duration_ms)}, ${several(one.spans, "span")}${one.status ? `, ${one.status}` : ""}`;
    return h("li", {}, h("a", { href: address(one.trace_id, trace) }, text), one.errors ? [" ", errorSign()] : null);
  });
  return [h("h3", {}, `${title} traces of this route`), h("ul", {}, items)];
}
