// A stack of calls, in which the application's frames stand out.

import { h } from "./dom.js";
import { several } from "./format.js";

const FRAME = /^\s*File "(.+)", line \d+(, in .*)?$/;
const LIBRARY = /[\\/]eco2_tracing[\\/]|site-packages|dist-packages|<frozen |[\\/]lib[\\/]python3|[\\/]Lib[\\/]/;

/**
 * Return a Python traceback as blocks of lines: `{kind: "app" | "library" | "text", lines, frames}`. Frames of libraries
 * that follow each other are one block.
 */
export function blocksOf(text) {
  const blocks = [];
  for (const line of text.replace(/\s+$/, "").split("\n")) {
    const last = blocks[blocks.length - 1];
    const file = FRAME.exec(line)?.[1];
    if (file !== undefined) {
      const kind = LIBRARY.test(file) ? "library" : "app";
      if (last?.kind === "library" && kind === "library") {
        last.lines.push(line);
        last.frames += 1;
      } else blocks.push({ kind, lines: [line], frames: 1 });
    } else if (last && (last.kind === "text" || /^ {3,}|^\s*\^/.test(line))) last.lines.push(line);
    else blocks.push({ kind: "text", lines: [line], frames: 0 });
  }
  return blocks;
}

/** Return the elements of a stack. Frames of libraries are closed. */
export function stackView(text) {
  const blocks = blocksOf(text);
  if (!blocks.some(({ kind }) => kind === "app")) return h("pre", { class: "stack" }, text);
  return h("div", { class: "stack" }, blocks.map(({ kind, lines, frames }) => {
    // Lines of carets point at nothing where lines are wrapped.
    const body = h("pre", { class: kind }, lines.filter((line) => !/^\s*[~^]+\s*$/.test(line)).join("\n"));
    if (kind !== "library") return body;
    return h("details", {}, h("summary", { class: "quiet" }, `${several(frames, "frame")} of libraries`), body);
  }));
}
