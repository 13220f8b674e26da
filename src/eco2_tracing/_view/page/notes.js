// Words for log lines and events of spans.

/** Return an event in one line: the exception, or its name with its attributes. */
export function eventTitle(event) {
  const { attributes } = event;
  if (event.name === "exception") {
    const message = attributes["exception.message"];
    return [attributes["exception.type"] ?? "exception", message].filter(Boolean).join(": ");
  }
  return [event.name, fieldsText(attributes)].filter(Boolean).join(" ");
}

/** Return fields in one line. */
export function fieldsText(fields) {
  return Object.entries(fields)
    .map(([key, value]) => `${key}=${valueText(value)}`)
    .join(" ");
}

/** Return a value of an attribute as a text. */
export function valueText(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

const LEVELS = ["trace", "debug", "info", "warning", "error", "critical"];

/** Return the place of a level in the order of severity; unknown ones are as `info`. */
export function severity(level) {
  const name = level.toLowerCase();
  const known = { warn: "warning", fatal: "critical", notset: "trace" }[name] ?? name;
  const at = LEVELS.indexOf(known);
  return at < 0 ? 2 : at;
}

export const WARNING = LEVELS.indexOf("warning");
export const ERROR = LEVELS.indexOf("error");
export { LEVELS };
