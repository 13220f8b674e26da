// The mark and the colour of each service of a trace.

import { h } from "./dom.js";

const COLOURS = 8; // --service-0 … in trace.css

/**
 * Return the mark of each service: one or two letters that no other has, and the number of a colour.
 * @returns {Map<string, {letters: string, colour: number}>}
 */
export function marksOf(names) {
  const marks = new Map();
  const taken = new Set();
  for (const name of new Set(names)) {
    const letters = candidates(name).find((one) => !taken.has(one)) ?? String(marks.size);
    taken.add(letters);
    marks.set(name, { letters, colour: marks.size % COLOURS });
  }
  return marks;
}

function candidates(name) {
  const words = name.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const letters = [...words.join("")];
  if (letters.length === 0) return ["?"];
  const first = letters[0].toUpperCase();
  const initials = words.length > 1 ? [first + [...words[1]][0].toUpperCase()] : [];
  return [...initials, ...letters.slice(1).map((one) => first + one), first];
}

/** Return the element of a service's mark. Its name is for those who see; texts beside it name the service. */
export function badge(mark, name) {
  if (!mark) return null;
  const style = { "--service": `var(--service-${mark.colour})` };
  return h("span", { class: "badge", style, title: name.slice(0, 200), "aria-hidden": "true" }, mark.letters);
}
