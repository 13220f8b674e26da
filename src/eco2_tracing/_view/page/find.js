// Finds a text in the spans, events and log lines of a trace.

import { h } from "./dom.js";
import { fieldsText, valueText } from "./notes.js";

/** What of a trace contains a text, in the order of the rows. */
export class Matches {
  /** @param {import("./tree.js").Tree} tree */
  constructor(tree) {
    this._tree = tree;
    this._texts = new Map(); // by key, in small letters, made when they are first needed
    this.found = [];
    this.at = -1;
  }

  /** Find a text: each match is `{key, span, note}` with the index of a span, or a log line or event. */
  find(text) {
    const wanted = text.trim().toLowerCase();
    const { spans, notes, keys } = this._tree;
    const made = [];
    const add = (key, textOf, match) => {
      if (!this._texts.has(key)) this._texts.set(key, textOf().toLowerCase());
      if (this._texts.get(key).includes(wanted)) made.push({ key, ...match });
    };
    if (wanted) {
      spans.forEach((span, index) => add(keys[index], () => textOfSpan(span), { span: index, note: null }));
      notes.forEach((note) => add(note.key, () => textOfNote(note), { span: note.span, note }));
      const places = this._tree.places();
      const place = ({ key }) => places.get(key) ?? -1;
      made.sort((a, b) => place(a) - place(b));
    }
    this.found = made;
    this.at = -1;
  }

  /**
   * Go to another match and return it.
   * @param {number} step 1 or -1; 0 is the first from a row on.
   * @param {string} key The key of the current row, from which the first step goes.
   */
  go(step, key, isMeant) {
    const places = this._tree.places();
    const found = this.found.map((match, index) => (isMeant(match) ? index : -1)).filter((index) => index >= 0);
    if (found.length === 0) return null;
    const here = found.indexOf(this.at);
    if (step === 0 || here < 0) {
      const from = places.get(key) ?? -1;
      const first = found.findIndex((index) => places.get(this.found[index].key) >= from);
      this.at = step < 0 ? (found[(first < 0 ? found.length : first) - 1] ?? found[found.length - 1]) : (found[first] ?? found[0]);
    } else this.at = found[(here + step + found.length) % found.length];
    return this.found[this.at];
  }
}

/** Return the next failed span from a row on, or the previous one for a step of -1: `{span, number, count}`. */
export function nextError(tree, key, step) {
  const places = tree.places();
  const errors = tree.order.filter((index) => tree.spans[index].status === "error");
  if (errors.length === 0) return null;
  const from = places.get(key) ?? -1;
  const found = errors.map((index) => places.get(tree.keys[index]));
  const at = step > 0 ? found.findIndex((one) => one > from) : found.findLastIndex((one) => one < from);
  const next = at >= 0 ? at : step > 0 ? 0 : errors.length - 1;
  return { span: errors[next], number: next + 1, count: errors.length };
}

function textOfSpan(span) {
  const parts = [span.title, span.name, span.service, span.kind, span.status_description, span.code, span.span_id];
  for (const [key, value] of Object.entries(span.attributes)) parts.push(`${key}=${valueText(value)}`);
  return parts.join("\n");
}

function textOfNote({ item, text, level, type }) {
  return `${text}\n${level}\n${item.logger ?? ""}\n${fieldsText(type === "log" ? item.fields : item.attributes)}`;
}

/** Return a text as nodes in which the places of another are marked. */
export function marked(text, wanted) {
  const low = text.toLowerCase();
  const needle = wanted.trim().toLowerCase();
  if (!needle || low.length !== text.length) return [text];
  const made = [];
  let at = 0;
  for (let found = low.indexOf(needle); found >= 0 && made.length < 200; found = low.indexOf(needle, at)) {
    made.push(text.slice(at, found), h("mark", {}, text.slice(found, found + needle.length)));
    at = found + needle.length;
  }
  return [...made, text.slice(at)].filter((one) => one !== "");
}
