// Tables of figures. In narrow windows each row is a block of lines with the names of the columns.

import { h } from "./dom.js";

/**
 * Return a table in an element that scrolls if it must.
 * @param {[string, string?][]} columns Each with its label, and `"number"` if it has figures.
 * @param {Array[]} rows Each with the content of its cells; the first one names the row.
 */
export function dataTable(caption, columns, rows) {
  const heads = columns.map(([label, kind]) => h("th", { scope: "col", class: kind }, label));
  const cell = (content, index) => {
    const [label, kind] = columns[index];
    return index === 0 ? h("th", { scope: "row" }, content) : h("td", { class: kind, "data-label": label }, content);
  };
  return h(
    "table",
    { class: "data" },
    h("caption", {}, caption),
    h("thead", {}, h("tr", {}, heads)),
    h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map(cell)))),
  );
}

/** Return a sign, a colour and the number of errors, or an empty text if there are none. */
export function errorsText(errors, text) {
  return errors > 0 ? h("span", { class: "bad" }, `✖ ${text}`) : "";
}
