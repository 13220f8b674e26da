// Draws the service map as SVG.

import { svg } from "./dom.js";
import { brief, count, percent, rate, several } from "./format.js";
import { layoutOf, NODE } from "./map_layout.js";

const { width: WIDTH, height: HEIGHT } = NODE;
const LETTERS = 22; // of a name that fit into a node
const LETTER_WIDTH = 5.9; // of figures, about

/** Return the drawing of an answer of `/api/map`; `links.node` and `links.call` return addresses. */
export function drawingOf(map, links) {
  const layout = layoutOf(map.nodes.map((node) => node.name), map.calls);
  const name = `${several(map.nodes.length, "node")}, ${several(map.calls.length, "call")}; the tables below say the same`;
  return svg(
    "svg",
    {
      class: "drawing", viewBox: `0 0 ${layout.width} ${layout.height}`, width: layout.width, height: layout.height,
      role: "group", "aria-label": name,
    },
    svg("defs", {}, arrow("arrow", "tip"), arrow("arrow-bad", "tip bad")),
    map.calls.map((call, index) => line(call, layout.paths[index], links.call(call))),
    map.calls.map((call, index) => label(call, layout.paths[index], links.call(call))),
    map.nodes.map((node) => box(node, layout.nodes.get(node.name), links.node(node))),
  );
}

function arrow(id, kind) {
  const size = { viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8 };
  const tip = svg("path", { d: "M0 0 L8 4 L0 8 z" });
  return svg("marker", { id, class: kind, ...size, markerUnits: "userSpaceOnUse", orient: "auto" }, tip);
}

function box(node, { x, y }, href) {
  const failed = node.errors ? ` · ✖ ${percent(node.errors / node.spans)}` : "";
  const name = node.name.length > LETTERS ? `${node.name.slice(0, LETTERS - 1)}…` : node.name;
  const figures = `${rate(node.per_second)} · p95 ${brief(node.p95_ms)}${failed}`;
  return svg(
    "a",
    {
      href,
      class: `node ${node.kind}${node.errors ? " failed" : ""}`,
      "aria-label": `${node.kind} ${node.name} ${figures}`,
      transform: `translate(${x - WIDTH / 2} ${y - HEIGHT / 2})`,
    },
    svg("title", {}, node.name),
    outline(node.kind),
    svg("text", { class: "label-kind", x: WIDTH / 2, y: 13 }, node.kind, " "),
    svg("text", { class: "label-name", x: WIDTH / 2, y: 28 }, name, " "),
    svg("text", { class: "amounts", x: WIDTH / 2, y: 43 }, figures),
  );
}

// Each kind has a shape, so that it is seen without colours.
function outline(kind) {
  const [w, t] = [WIDTH, HEIGHT];
  const paths = {
    gateway: `M12 0 H${w - 12} L${w} ${t / 2} L${w - 12} ${t} H12 L0 ${t / 2} Z`,
    database: `M0 5 C0 -2 ${w} -2 ${w} 5 V${t - 5} C${w} ${t + 2} 0 ${t + 2} 0 ${t - 5} Z`,
    messaging: `M0 0 H${w} V${t} H0 Z M6 0 V${t} M${w - 6} 0 V${t}`,
  };
  if (paths[kind]) return svg("path", { class: "outline", d: paths[kind] });
  return svg("rect", { class: "outline", width: w, height: t, rx: kind === "external" ? 26 : 6 });
}

// All lines are below all labels.
function line(call, points, href) {
  const { d } = curve(points);
  return svg(
    "a",
    { href, tabindex: -1, "aria-hidden": "true", class: `call${call.errors ? " failed" : ""}` },
    svg("title", {}, `${call.from} calls ${call.to}`),
    svg("path", { class: "hit", d }),
    svg("path", {
      class: "line", d, "marker-end": `url(#${call.errors ? "arrow-bad" : "arrow"})`,
      "stroke-width": 1 + Math.min(3, Math.log10(call.count + 1)),
    }),
  );
}

function label(call, points, href) {
  const { middle } = curve(points);
  const failed = call.errors ? ` · ✖ ${percent(call.errors / call.count)}` : "";
  const amount = `${count(call.count)} × · ${rate(call.per_second)}`;
  const times = `p50 ${brief(call.p50_ms)} · p95 ${brief(call.p95_ms)}`;
  const letters = Math.max(times.length, amount.length + failed.length);
  const width = letters * LETTER_WIDTH + 8;
  const name = `${call.from} calls ${call.to}: ${amount}${failed} ${times}`; // what is seen is part of it
  return svg(
    "a",
    { href, class: "call label", "aria-label": name },
    svg("rect", { x: middle.x - width / 2, y: middle.y - 16, width, height: 32, rx: 4 }),
    svg("text", { class: "amounts", x: middle.x, y: middle.y - 3 }, amount, svg("tspan", { class: "bad" }, failed), " "),
    svg("text", { class: "amounts", x: middle.x, y: middle.y + 11 }, times),
  );
}

// Returns the curve through points, and where its label is. A call that goes back, or to itself, goes below.
function curve(points) {
  const first = points[0];
  const last = points.at(-1);
  if (last.x <= first.x) return backwards(first, last);
  const half = WIDTH / 2;
  let d = "";
  let middle = null;
  for (let at = 1; at < points.length; at += 1) {
    const [from, to] = [points[at - 1], points[at]];
    const begin = { x: from.x + half, y: from.y };
    const end = { x: to.x - half, y: to.y };
    const bend = (begin.x + end.x) / 2;
    d += `${d ? " L" : "M"}${begin.x} ${begin.y} C${bend} ${begin.y} ${bend} ${end.y} ${end.x} ${end.y}`;
    middle ??= { x: bend, y: begin.y * 0.35 + end.y * 0.65 };
  }
  return { d, middle };
}

function backwards(first, last) {
  const bottom = Math.max(first.y, last.y) + HEIGHT / 2 + 30;
  const from = { x: first.x + 40, y: first.y + HEIGHT / 2 };
  const to = { x: last.x - 40, y: last.y + HEIGHT / 2 };
  const d = `M${from.x} ${from.y} C${from.x} ${bottom} ${to.x} ${bottom} ${to.x} ${to.y}`;
  return { d, middle: { x: (from.x + to.x) / 2, y: bottom - 8 } };
}
