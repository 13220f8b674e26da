import { context, propagation, ROOT_CONTEXT } from "@opentelemetry/api";

import { configureTracing } from "./tracing.js";

const content = (name) => document.querySelector(`meta[name="${name}"]`).content;
const api = content("api");

configureTracing({ service: "shop-browser", collector: content("collector"), api });

async function show() {
  const answer = await fetch(`${api}/api/v1/orders/7`);
  document.getElementById("order").textContent = JSON.stringify(await answer.json());
}

// The span of a click has the context in which its listener was added as its parent. With that of the page, a click is
// in the page's trace. Without this line each click begins a trace.
context.with(propagation.extract(ROOT_CONTEXT, { traceparent: content("traceparent") }), () => {
  document.getElementById("show").addEventListener("click", show);
});
