// What is known of the selected row: a span, a group of spans, a log line or an event.

import { attributeTable, copyButton, fillFirst, grouped, longText } from "./attributes.js";
import { append, fill, h } from "./dom.js";
import { clock, count, duration, milliseconds, percent, several } from "./format.js";
import { fieldsText } from "./notes.js";
import { errorSign, moment, noteKind, numberOf, short } from "./rows.js";
import { badge } from "./services.js";
import { stackView } from "./stack.js";

const MOST = 10; // events, links and log lines shown at first
const FEW = 8; // attributes of an event that are shown at once

/** The panel of the selected row. */
export class Detail {
  constructor(actions) {
    this._actions = actions;
    this.wanted = "";
    this.element = h("aside", { class: "detail", "aria-label": "Details", tabindex: -1 });
  }

  /** Show a row of a tree. */
  show(tree, marks, row) {
    this._tree = tree;
    this._marks = marks;
    const body = !row ? h("p", { class: "quiet" }, "Select a span to see its attributes.") : this._row(row);
    const close = h("button", { type: "button", class: "close", "aria-label": "Close the details" }, "✕");
    close.addEventListener("click", () => this._actions.close());
    fill(this.element, close, body);
    this.element.scrollTop = 0;
  }

  _row(row) {
    if (row.type === "span") return this._span(row.span);
    if (row.type === "group") return this._group(row);
    if (row.type === "fold") return h("p", {}, `${numberOf(row.notes)}. Enter or a click opens them.`);
    return this._note(row.note);
  }

  _span(index) {
    const span = this._tree.spans[index];
    const { trace } = this._tree;
    const exceptions = span.events.filter(({ name }) => name === "exception");
    const others = span.events.filter(({ name }) => name !== "exception");
    return [
      h("h2", {}, badge(this._marks.get(span.service), span.service), ` ${short(span.title)}`),
      this._facts(span),
      this._buttons(span),
      span.status_description ? h("p", { class: "bad" }, errorSign(), " ", longText(span.status_description, this.wanted)) : null,
      first(exceptions, (event) => this._exception(event)),
      span.kept ? section("Why it was kept", h("p", {}, span.kept.text)) : null,
      grouped(span.attributes).map(([name, pairs]) => section(name, attributeTable(pairs, this.wanted, true))),
      this._lines(index),
      others.length ? section(`Events (${count(others.length)})`, first(others, (event) => this._event(event))) : null,
      span.more_events ? h("p", { class: "warn" }, `${several(span.more_events, "more event")} not shown`) : null,
      span.links.length ? section(`Links (${count(span.links.length)})`, first(span.links, (link) => this._link(link))) : null,
      span.curl ? section("Repeat the request", h("div", { class: "command" }, h("pre", {}, span.curl), copyButton(span.curl, "curl command"))) : null,
      folded("Resource", () => attributeTable(Object.entries(trace.resources[span.resource] ?? {}), this.wanted)),
      folded("Identity", () => attributeTable(identity(span), this.wanted)),
    ];
  }

  _facts(span) {
    const { trace } = this._tree;
    const whole = trace.duration_ms || 1;
    const onPath = span.critical.reduce((sum, [from, to]) => sum + to - from, 0);
    const waits = span.gaps.map(([from, to]) => `${duration(to - from)} from ${moment(from)}`).join(", ");
    const facts = [
      ["Service", short(span.service) + (span.hop ? ` (${span.hop})` : "")],
      ["Status", span.status === "error" ? [errorSign(), ` ${span.code} error`] : [span.code || span.status]],
      ["Kind", span.kind],
      ["Duration", `${duration(span.duration_ms)} (${percent(span.duration_ms / whole)} of the trace)`],
      ["Self", `${duration(span.self_ms)} without its children`],
      ["Start", `@ ${moment(span.offset_ms)}, ${clock(milliseconds(trace.start_ns) + span.offset_ms)}`],
      onPath ? ["Critical path", duration(onPath)] : null,
      waits ? ["No child runs", waits] : null,
    ];
    return h("dl", { class: "facts" }, facts.filter(Boolean).map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]));
  }

  _buttons(span) {
    const address = `${location.origin}/trace/${this._tree.trace.trace_id}#${span.span_id}`;
    return h(
      "p",
      { class: "toolbar" },
      button("Zoom to it", () => this._actions.zoom(span.offset_ms, span.offset_ms + span.duration_ms)),
      span.parent === null ? null : button("Parent", this._going(span.parent)),
      h("span", {}, "Link ", copyButton(address, "link to the span")),
      h("span", {}, "JSON ", copyButton(JSON.stringify(span, null, 2), "span as JSON")),
    );
  }

  _exception(event) {
    const { "exception.type": type, "exception.message": message, "exception.stacktrace": stack, ...rest } = event.attributes;
    const text = [type ?? "exception", message].filter(Boolean).join(": ");
    return h(
      "section",
      { class: "exception" },
      h("h3", { class: "bad" }, errorSign(), ` ${type ?? "exception"} `, h("span", { class: "quiet" }, `@ ${moment(event.offset_ms)}`)),
      message ? h("p", {}, longText(message, this.wanted)) : null,
      stack ? [stackView(stack), h("p", {}, "Stack ", copyButton(stack, `stack of ${text.slice(0, 60)}`))] : null,
      this._some(rest),
    );
  }

  _event(event) {
    const head = [h("b", {}, short(event.name)), " ", h("span", { class: "quiet" }, `@ ${moment(event.offset_ms)}`)];
    return h("div", { class: "event" }, h("p", {}, head), this._some(event.attributes));
  }

  // A few attributes as they are, many ones closed.
  _some(attributes) {
    const pairs = Object.entries(attributes);
    if (pairs.length === 0) return null;
    const table = () => attributeTable(pairs, this.wanted);
    return pairs.length <= FEW ? table() : folded(several(pairs.length, "attribute"), table);
  }

  _link(link) {
    const isHere = link.trace_id === this._tree.trace.trace_id;
    const at = isHere ? this._tree.byKey.get(link.span_id) : undefined;
    const label = isHere ? `Span ${link.span_id} of this trace` : `Trace ${link.trace_id}, span ${link.span_id}`;
    const target = at === undefined ? h("a", { href: `/trace/${link.trace_id}#${link.span_id}` }, label) : button(label, this._going(at));
    return h("div", { class: "event" }, target, this._some(link.attributes));
  }

  _lines(index) {
    const lines = this._tree.notes.filter((note) => note.type === "log" && note.span === index);
    if (!lines.length) return null;
    const list = h("ul", { class: "lines" });
    const more = fillFirst(list, lines, MOST, (note) =>
      h("li", {}, h("span", { class: `level ${noteKind(note)}` }, note.level), ` ${short(note.text)} `, h("span", { class: "quiet" }, `@ ${moment(note.at)}`)),
    );
    return section(`Log lines (${count(lines.length)})`, list, more);
  }

  _note(note) {
    if (note.type === "event") {
      return [
        h("h2", {}, "Event"),
        note.item.name === "exception" ? this._exception(note.item) : this._event(note.item),
        this._toSpan(note),
      ];
    }
    const { item } = note;
    const { "error.stack_trace": stack, ...fields } = item.fields;
    const pairs = Object.entries(fields);
    return [
      h("h2", {}, "Log line"),
      h("p", {}, h("span", { class: `level ${noteKind(note)}` }, note.level), ` ${item.service} `, h("span", { class: "quiet" }, item.logger)),
      h("div", { class: "command" }, h("pre", {}, longText(note.text, this.wanted)), copyButton(note.text, "message")),
      h("p", { class: "quiet" }, `@ ${moment(note.at)}, ${clock(milliseconds(this._tree.trace.start_ns) + note.at)}`),
      typeof stack === "string" ? section("Stack", stackView(stack), copyButton(stack, "stack")) : null,
      pairs.length ? section("Fields", attributeTable(pairs, this.wanted)) : null,
      this._toSpan(note),
    ];
  }

  _toSpan(note) {
    if (note.span === null) return h("p", { class: "quiet" }, "Its span is not held.");
    const span = this._tree.spans[note.span];
    return h("p", {}, button(`Go to its span: ${span.title.slice(0, 80)}`, this._going(note.span)));
  }

  // The index of a span changes if earlier spans arrive.
  _going(span) {
    const key = this._tree.keys[span];
    return () => this._actions.select(this._tree.byKey.get(key));
  }

  _group(row) {
    const { spans, trace } = this._tree;
    const group = trace.groups[row.group];
    const times = row.members.map((index) => spans[index].duration_ms);
    const slowest = row.members[times.indexOf(Math.max(...times))];
    const facts = [
      ["Spans", count(row.members.length)],
      ["In total", duration(group.total_ms)],
      ["Mean", duration(times.reduce((sum, one) => sum + one, 0) / times.length)],
      ["Shortest", duration(Math.min(...times))],
      ["Longest", duration(Math.max(...times))],
      ["Errors", group.errors ? [errorSign(), ` ${count(group.errors)}`] : "0"],
    ];
    return [
      h("h2", {}, `${count(row.members.length)} × ${short(group.title)}`),
      group.repeated
        ? h("p", { class: "warn" }, "N+1? These calls are equal. Maybe one is made for each item of a list; one call for all of them may do.")
        : null,
      h("dl", { class: "facts" }, facts.map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)])),
      h("p", {}, button("Go to the longest", this._going(slowest))),
      section("Attributes of the first", grouped(spans[row.members[0]].attributes).map(([, pairs]) => attributeTable(pairs, this.wanted))),
    ];
  }
}

function first(items, draw) {
  const element = h("div");
  return [element, fillFirst(element, items, MOST, draw)];
}

function identity(span) {
  const scope = typeof span.scope === "string" || !span.scope ? span.scope : fieldsText(span.scope);
  const pairs = [
    ["span id", span.span_id],
    ["parent span id", span.parent_span_id],
    ["name", span.name],
    ["scope", scope],
    ["tracestate", span.trace_state],
  ];
  return pairs.filter(([, value]) => value);
}

function button(label, action) {
  return h("button", { type: "button", on: { click: action } }, label);
}

function section(title, ...children) {
  return h("section", {}, h("h3", {}, title), children);
}

// A closed part that is drawn when it is opened.
function folded(title, draw) {
  const element = h("details", {}, h("summary", {}, title));
  element.addEventListener("toggle", () => append(element, [draw()]), { once: true });
  return element;
}
