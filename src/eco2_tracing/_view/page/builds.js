// The builds of a service: what changed from one run of its code to the next.

import { get, listen, throttled } from "./api.js";
import { dataTable } from "./data_table.js";
import { fill, h } from "./dom.js";
import { changesOf } from "./build_changes.js";
import { clock, count, milliseconds, several } from "./format.js";

const EVERY_MS = 2000;
const MOST_LISTED = 50;

/** Show the builds of a service, and the routes of two of them. */
export function showBuilds(main, url) {
  document.title = "Builds · eco2-tracing";
  const chosen = Object.fromEntries(["service", "left", "right"].map((key) => [key, url.searchParams.get(key) ?? ""]));
  const services = h("select", { on: { change: () => choose({ service: services.value, left: "", right: "" }) } });
  const routes = h("div", { class: "tables" });
  const builds = h("div", { class: "tables" });
  const ending = new AbortController();
  let isLoading = false;
  let shown = "";

  function choose(change) {
    Object.assign(chosen, change);
    const pairs = Object.entries(chosen).filter(([, value]) => value);
    history.replaceState(null, "", pairs.length ? `/builds?${new URLSearchParams(pairs)}` : "/builds");
    load();
  }

  async function load() {
    if (isLoading) return again();
    isLoading = true;
    try {
      const all = (await get("/api/builds", {}, ending.signal)).builds;
      const service = chosen.service || serviceOf(all);
      const hasTwo = countOf(all, service) > 1;
      draw(all, service, hasTwo ? await get("/api/compare-builds", { ...chosen, service }, ending.signal) : null);
    } catch (error) {
      if (error.name !== "AbortError") fill(routes, h("p", { class: "bad" }, `The builds could not be read: ${error.message}`));
    }
    isLoading = false;
    return undefined;
  }

  function draw(all, service, found) {
    const now = JSON.stringify([all, service, found, chosen]);
    if (now === shown) return;
    shown = now;
    const names = [...new Set(all.map((build) => build.service))].sort();
    fill(services, names.map((name) => h("option", { value: name }, name)));
    services.value = service;
    const own = all.filter((build) => build.service === service);
    const focus = document.activeElement?.dataset?.pick;
    fill(routes, found ? comparison(found) : nothing(own));
    fill(builds, own.length ? buildTable(own, found, choose) : null);
    if (focus) builds.querySelector(`[data-pick="${CSS.escape(focus)}"]`)?.focus();
  }

  fill(
    main,
    h("h1", {}, "Builds"),
    h("p", { class: "quiet" }, "A build is one process of a service: a reload, a restart or a worker begins another."),
    h("div", { class: "toolbar" }, h("label", {}, "Service ", services)),
    routes,
    builds,
  );
  const again = throttled(load, EVERY_MS);
  const end = listen({ traces: () => again(), reload: () => again() });
  again();
  return () => {
    ending.abort();
    again.cancel();
    end();
  };
}

// The service that has been reloaded last.
function serviceOf(builds) {
  return builds.find((build) => countOf(builds, build.service) > 1)?.service ?? builds[0]?.service ?? "";
}

function countOf(builds, service) {
  return builds.filter((build) => build.service === service).length;
}

function nothing(own) {
  if (own.length === 0) return h("p", {}, "No trace has arrived yet.");
  const code = h("code", {}, "--reload");
  return h("p", {}, `${own[0].service} has one build so far. Change its code while it runs with `, code, ", and send requests again.");
}

function nameOf(build) {
  const instance = build.instance.length > 24 ? `${build.instance.slice(0, 12)}…` : build.instance;
  return build.version && build.version !== build.instance ? `${build.version} · ${instance}` : instance;
}

function comparison({ left, right, routes }) {
  const time = (build) => clock(milliseconds(build.first_ns)).replace(/\.\d+$/, "");
  const figures = ["Requests", "p50", "p95", "Errors", "Spans", "SQL calls", "HTTP calls"];
  const columns = [["Route"], ...figures.map((label) => [label, "number"]), ["Traces"]];
  const caption = `${nameOf(left)} (from ${time(left)}) → ${nameOf(right)} (from ${time(right)})`;
  return dataTable(caption, columns, routes.map(changesOf));
}

function buildTable(own, found, choose) {
  const now = { service: own[0].service, left: found?.left.instance ?? "", right: found?.right.instance ?? "" };
  const pick = (build, side) => {
    const input = h("input", {
      type: "radio", name: side, "data-pick": `${side} ${build.instance}`,
      "aria-label": `${side === "left" ? "Before" : "After"}: ${nameOf(build)}`,
      on: { change: () => choose({ ...now, [side]: build.instance }) },
    });
    input.checked = found?.[side].instance === build.instance;
    return input;
  };
  const rows = own.slice(0, MOST_LISTED).map((build) => [
    nameOf(build), clock(milliseconds(build.first_ns)), clock(milliseconds(build.last_ns)), count(build.traces),
    pick(build, "left"), pick(build, "right"),
  ]);
  const columns = [["Build"], ["First span"], ["Last span"], ["Traces", "number"], ["Before"], ["After"]];
  return dataTable(`${several(own.length, "build")} of ${own[0].service}, the newest first`, columns, rows);
}
