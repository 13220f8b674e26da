// A search for traces: its fields, its place in the address, and whether a row of the list matches it.

import { query } from "./api.js";

/** The fields of a search, as the parameters of the address and of the API. */
const FIELDS = ["service", "route", "status", "min_ms", "max_ms", "text", "trace_id"];

/** Return the search of an address. */
export function searchOf(parameters) {
  const search = Object.fromEntries(FIELDS.map((field) => [field, (parameters.get(field) ?? "").trim()]));
  search.attribute = parameters.getAll("attribute").filter(Boolean);
  return search;
}

/** Return the parameters of a search, without those that the server would not understand yet. */
export function parametersOf(search) {
  const { status, min_ms: least, max_ms: most } = search;
  return {
    ...search,
    status: isStatus(status) ? status : "",
    min_ms: isNumber(least) ? least : "",
    max_ms: isNumber(most) ? most : "",
  };
}

/** Return the address of the list, or of another page, with a search. */
export function addressOf(search, order = "newest", path = "/") {
  const pairs = query({ ...search, sort: order === "newest" ? "" : order });
  return pairs.length ? `${path}?${new URLSearchParams(pairs)}` : path;
}

/** Return how many fields of a search are set. */
export function setFields(search) {
  return FIELDS.filter((field) => search[field] !== "").length + search.attribute.length;
}

/** Return true if only the server can tell which traces match: the text of spans and attributes are not in the rows. */
export function needsServer(search) {
  return search.text !== "" || search.attribute.length > 0;
}

/** Return the id of a trace in a text: 32 hex digits, alone or in a `traceparent`; or `null`. */
export function traceIdIn(text) {
  const found = /^\s*(?:[0-9a-f]{2}-)?([0-9a-f]{32})(?:-[0-9a-f]{16}(?:-[0-9a-f]{2})?)?\s*$/i.exec(text);
  return found && found[1].toLowerCase();
}

/**
 * Return a function that says whether a row matches a search, as far as rows can tell: a text is looked for in what the
 * row shows, and attributes are left to the server.
 * @returns {function(Object): boolean}
 */
export function matcher(search) {
  const tests = [];
  const lower = (text) => text.toLowerCase();
  if (search.service) tests.push((row) => row.services.includes(search.service));
  if (search.route) {
    const route = lower(search.route);
    tests.push((row) => lower(row.route).includes(route) || lower(row.name).includes(route));
  }
  if (search.status) tests.push(statusTest(lower(search.status)));
  if (isNumber(search.min_ms)) tests.push((row) => row.duration_ms >= Number(search.min_ms));
  if (isNumber(search.max_ms)) tests.push((row) => row.duration_ms <= Number(search.max_ms));
  if (search.trace_id) tests.push((row) => row.trace_id.startsWith(lower(search.trace_id)));
  if (search.text) {
    const text = lower(search.text);
    tests.push((row) => row.words.includes(text));
  }
  return (row) => tests.every((test) => test(row));
}

function statusTest(status) {
  if (status === "error") return (row) => row.errors > 0;
  if (status === "ok") return (row) => row.errors === 0;
  const digits = status.replace(/x+$/, "");
  return (row) => row.status.startsWith(digits);
}

function isStatus(status) {
  return /^(error|ok|[1-5]xx|\d{3})$/i.test(status);
}

function isNumber(text) {
  return text !== "" && Number.isFinite(Number(text));
}
