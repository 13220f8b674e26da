// Makes elements. Every text becomes a text node: what spans contain is never read as markup.

/**
 * @param {Object} [properties] `class`; `on`, an object of event listeners; `style`, an object of CSS properties, such
 *   as `{"--depth": 3}`; all others are attributes. `true` sets an attribute without value; `false`, `null` and
 *   `undefined` leave it out.
 */
export function h(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** The same for SVG. */
export function svg(tag, properties = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);
}

function filled(element, properties, children) {
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "on") {
      for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    } else if (key === "style") {
      for (const [name, text] of Object.entries(value)) element.style.setProperty(name, String(text));
    } else {
      element.setAttribute(key, value === true ? "" : String(value));
    }
  }
  append(element, children);
  return element;
}

/** Append nodes and texts; arrays are flattened, `null`, `undefined` and `false` are left out. */
export function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : visible(String(child)));
  }
}

/** Replace the children of an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
}

const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

/** Return a text whose control characters and changes of direction can be seen. Tabs and line ends stay. */
export function visible(text) {
  return text.replace(HIDDEN, (found) => {
    const code = found.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : `\\u${code.toString(16).padStart(4, "0")}`;
  });
}

const ANNOUNCED_MS = 8000;
let ends = 0;

/** Say a text in the status line, which screen readers read. It goes after some seconds. */
export function announce(text) {
  const state = document.getElementById("state");
  state.textContent = text;
  clearTimeout(ends);
  ends = setTimeout(() => (state.textContent = ""), ANNOUNCED_MS);
}

/** Go to an address of this page. */
export function navigate(address) {
  dispatchEvent(new CustomEvent("navigate-to", { detail: address }));
}

/** Copy a text, and say so. */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    announce(`${what} copied`);
  } catch {
    announce("The browser did not allow to copy");
  }
}
