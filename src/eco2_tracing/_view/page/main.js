// Chooses the view that the address names, and follows links without loading the page again.

import { fill, h } from "./dom.js";

// A view is loaded when it is first shown.
const VIEWS = [
  [/^\/$/, "showList", () => import("./list.js")],
  [/^\/trace\/[^/]+$/, "showTrace", () => import("./trace.js")],
  [/^\/map$/, "showMap", () => import("./map.js")],
  [/^\/compare$/, "showCompare", () => import("./compare.js")],
  [/^\/builds$/, "showBuilds", () => import("./builds.js")],
];

const main = document.getElementById("main");
const connection = document.getElementById("connection");
let dispose = () => {};
let shows = 0;
let shown = ""; // the address without its fragment

async function show() {
  const number = (shows += 1);
  dispose();
  dispose = () => {};
  const url = new URL(location.href);
  shown = url.pathname + url.search;
  for (const link of document.querySelectorAll("header nav a")) {
    if (link.pathname === url.pathname) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const [, name, load] = VIEWS.find(([path]) => path.test(url.pathname)) ?? [null, "showNothing", () => ({ showNothing })];
  const view = await Promise.resolve(load()).catch(() => ({ [name]: showUnloaded }));
  if (number !== shows) return; // another view was asked for in the meantime
  fill(main);
  connection.textContent = ""; // a view that listens says it
  main.className = name;
  dispose = view[name](main, url) ?? (() => {});
}

function showNothing() {
  document.title = "No such page · eco2-tracing";
  fill(main, h("h1", {}, "No such page"), h("p", {}, h("a", { href: "/" }, "All traces")));
}

function showUnloaded() {
  const again = h("button", { type: "button", on: { click: () => location.reload() } }, "Try again");
  fill(main, h("h1", {}, "The server does not answer"), h("p", {}, again));
}

/** Go to an address of this page. */
async function go(address) {
  history.pushState(null, "", address);
  scrollTo(0, 0);
  await show();
  if (!main.contains(document.activeElement)) main.focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  const isPlain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (!link || !isPlain || event.defaultPrevented || link.hasAttribute("target")) return;
  const address = new URL(link.getAttribute("href"), location.href); // links in SVG have no `pathname`
  if (address.origin !== location.origin || address.pathname.startsWith("/api/")) return;
  if (address.hash === "#main") {
    event.preventDefault();
    main.focus();
  } else if (address.pathname !== location.pathname || !address.hash) {
    event.preventDefault();
    go(address.href);
  }
});
addEventListener("popstate", () => shown === location.pathname + location.search || show());
addEventListener("navigate-to", (event) => go(event.detail)); // dispatched by views

addEventListener("connection", (event) => {
  connection.textContent = event.detail ? "● Live" : "○ Connection lost. Trying again …";
  connection.classList.toggle("bad", !event.detail);
});
show();
