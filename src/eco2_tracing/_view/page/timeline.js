// The shown range of time, its axis, and the overview of the whole trace.

import { h } from "./dom.js";

const LEAST_MS = 0.00001;
const LEAST_DRAG = 4; // pixels

/** The part of a trace's time that is shown. */
export class TimeRange {
  /** @param {function()} changed Called after another range is shown. */
  constructor(changed) {
    this._changed = changed;
    this.full = [0, 1];
    this.from = 0;
    this.to = 1;
  }

  get isWhole() {
    return this.from === this.full[0] && this.to === this.full[1];
  }

  /** Set the time of the whole trace; the shown range stays if it is a part. */
  load(from, to) {
    const wasWhole = this.isWhole;
    this.full = [from, Math.max(to, from + 0.001)];
    if (wasWhole) [this.from, this.to] = this.full;
  }

  show(from, to) {
    const [first, last] = this.full;
    const length = Math.min(Math.max(to - from, LEAST_MS), last - first);
    this.from = Math.min(Math.max(from, first), last - length);
    this.to = this.from + length;
    this._changed();
  }

  reset() {
    this.show(...this.full);
  }

  /** Show a range whose length is multiplied by a factor, around a moment. */
  scale(factor, around = (this.from + this.to) / 2) {
    const part = Math.min(1, Math.max(0, (around - this.from) / (this.to - this.from)));
    const length = (this.to - this.from) * factor;
    const inside = this.from + part * (this.to - this.from);
    this.show(inside - part * length, inside + (1 - part) * length);
  }

  /** Move the range by a part of its length. */
  pan(part) {
    const step = (this.to - this.from) * part;
    this.show(this.from + step, this.to + step);
  }

  /** Return the place of a moment as per cent of the width, not far outside of it. */
  percent(ms) {
    return Math.min(101, Math.max(-1, ((ms - this.from) / (this.to - this.from)) * 100));
  }
}

/** Return at most so many round moments of a range, each with its text. */
export function ticks(from, to, most) {
  const rough = (to - from) / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((one) => one * power >= rough * 0.999) * power;
  const [unit, name] = to >= 2000 ? [1000, "s"] : to >= 1 ? [1, "ms"] : [0.001, "µs"];
  const digits = Math.min(9, Math.max(0, Math.ceil(-Math.log10(step / unit) - 0.001)));
  const made = [];
  for (let at = Math.ceil(from / step - 0.001); at * step <= to + step * 0.001; at += 1) {
    made.push({ ms: at * step, text: at === 0 ? "0" : `${((at * step) / unit).toFixed(digits)} ${name}` });
  }
  return made;
}

/**
 * Draw the ticks of an axis.
 * @param {HTMLElement} owner Gets `--tick` and `--tick-start`, the distance of the ticks and the place of the first.
 */
export function drawAxis(element, range, owner) {
  const width = element.clientWidth;
  const most = Math.max(1, Math.floor(width / 90));
  const found = ticks(range.from, range.to, most);
  const pixels = (ms) => (ms / (range.to - range.from)) * width;
  owner.style.setProperty("--tick", `${found.length > 1 ? pixels(found[1].ms - found[0].ms) : width}px`);
  owner.style.setProperty("--tick-start", `${pixels(found[0]?.ms - range.from) || 0}px`);
  const drawn = found.map(({ ms, text }) => {
    const percent = range.percent(ms);
    const side = percent > 100 - 60 / Math.max(1, most) ? "tick before" : "tick";
    return h("span", { class: side, style: { left: `${percent}%` } }, text);
  });
  element.replaceChildren(...drawn);
}

/**
 * Let a range of time be chosen by dragging over an element; a double click shows all.
 * @param {function(): [number, number]} extent Returns the moments at the left and right end of the element.
 */
export function chooseByDrag(element, range, extent) {
  let begin = null;
  const box = h("span", { class: "drag", hidden: true });
  const at = (event) => {
    const { left, width } = element.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - left) / Math.max(1, width)));
  };
  const end = () => {
    begin = null;
    box.hidden = true;
  };
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    begin = { part: at(event), x: event.clientX };
    element.setPointerCapture(event.pointerId);
    element.append(box);
    event.preventDefault();
  });
  element.addEventListener("pointermove", (event) => {
    if (!begin) return;
    const parts = [begin.part, at(event)].sort((a, b) => a - b);
    box.hidden = false;
    box.style.setProperty("left", `${parts[0] * 100}%`);
    box.style.setProperty("width", `${(parts[1] - parts[0]) * 100}%`);
  });
  element.addEventListener("pointerup", (event) => {
    if (!begin) return;
    const parts = [begin.part, at(event)].sort((a, b) => a - b);
    const isDrag = Math.abs(event.clientX - begin.x) >= LEAST_DRAG;
    end();
    const [from, to] = extent();
    if (isDrag) range.show(from + parts[0] * (to - from), from + parts[1] * (to - from));
  });
  element.addEventListener("pointercancel", end);
  element.addEventListener("dblclick", () => range.reset());
}

/** The overview of the whole trace: a line for each span, and the shown range. */
export class Overview {
  constructor(range) {
    this._range = range;
    this._canvas = h("canvas");
    this._window = h("span", { class: "window" });
    this.element = h("div", { class: "overview", "aria-hidden": "true", title: "Drag to zoom" }, this._canvas, this._window);
    chooseByDrag(this.element, range, () => range.full);
    this._sizes = new ResizeObserver(() => this._draw());
    this._sizes.observe(this.element);
  }

  /** Draw the spans of a tree. */
  load(tree, marks) {
    this._tree = tree;
    this._marks = marks;
    this._draw();
  }

  /** Show which range is shown. */
  update() {
    const [first, last] = this._range.full;
    const { from, to } = this._range;
    this._window.hidden = this._range.isWhole;
    this._window.style.setProperty("left", `${((from - first) / (last - first)) * 100}%`);
    this._window.style.setProperty("width", `${((to - from) / (last - first)) * 100}%`);
  }

  dispose() {
    this._sizes.disconnect();
  }

  _draw() {
    if (!this._tree || !this.element.isConnected) return;
    const scale = devicePixelRatio || 1;
    const width = Math.max(1, Math.round(this.element.clientWidth * scale));
    const height = Math.max(1, Math.round(this.element.clientHeight * scale));
    Object.assign(this._canvas, { width, height });
    const draw = this._canvas.getContext("2d");
    const colours = new Map([...this._marks].map(([name, { colour }]) => [name, colourOf(`--service-${colour}`)]));
    const bad = colourOf("--bad");
    const [first, last] = this._range.full;
    const { order, spans } = this._tree;
    const line = Math.max(scale, Math.min(4 * scale, height / Math.max(1, order.length)));
    order.forEach((index, rank) => {
      const span = spans[index];
      draw.fillStyle = span.status === "error" ? bad : colours.get(span.service);
      const left = ((span.offset_ms - first) / (last - first)) * width;
      const long = Math.max(scale, (span.duration_ms / (last - first)) * width);
      draw.fillRect(left, (rank / Math.max(order.length, height / (4 * scale))) * height, long, line);
    });
    this.update();
  }
}

// A custom property has the text "light-dark(…)"; a real property has the colour.
function colourOf(name) {
  const probe = h("span", { style: { color: `var(${name})`, display: "none" } });
  document.querySelector(".trace").append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
