// A line between two parts that is dragged, or moved by the arrow keys.

import { h } from "./dom.js";

/**
 * @param {string} label What the line sets.
 * @param {HTMLElement} owner The element that gets the custom property.
 * @param {HTMLElement} part The element whose width it is.
 * @param {string} property The name of the custom property, which is set in pixels.
 * @param {[number, number]} bounds The least and the greatest width.
 * @param {number} [direction] -1 if the part is at the right of the line.
 */
export function splitter(label, owner, part, property, bounds, direction = 1) {
  const line = h("div", {
    role: "separator", class: "splitter", tabindex: 0, "aria-orientation": "vertical", "aria-label": label,
    "aria-valuemin": bounds[0], "aria-valuemax": bounds[1], "aria-valuenow": bounds[0],
  });
  const set = (width) => {
    const bounded = Math.round(Math.min(bounds[1], Math.max(bounds[0], width)));
    owner.style.setProperty(property, `${bounded}px`);
    line.setAttribute("aria-valuenow", String(bounded));
  };
  let begin = null;
  line.addEventListener("pointerdown", (event) => {
    begin = { x: event.clientX, width: part.offsetWidth };
    line.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  line.addEventListener("pointermove", (event) => begin && set(begin.width + direction * (event.clientX - begin.x)));
  line.addEventListener("pointerup", () => (begin = null));
  line.addEventListener("pointercancel", () => (begin = null));
  line.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -16, ArrowRight: 16 }[event.key];
    if (!step || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation();
    set(part.offsetWidth + direction * step);
  });
  return line;
}
