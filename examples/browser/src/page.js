import { configureTracing } from "./tracing.js";

const content = (name) => document.querySelector(`meta[name="${name}"]`).content;
const api = content("api");

configureTracing({
  service: "shop-browser",
  collector: content("collector"),
  traceparent: content("traceparent"),
  api,
});

async function show() {
  const answer = await fetch(`${api}/api/v1/orders/7`);
  document.getElementById("order").textContent = JSON.stringify(await answer.json());
}

document.getElementById("show").addEventListener("click", show);
