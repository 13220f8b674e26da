import { defaultTextMapGetter, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { ZoneContextManager } from "@opentelemetry/context-zone";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { registerInstrumentations } from "@opentelemetry/instrumentation";
import { DocumentLoadInstrumentation } from "@opentelemetry/instrumentation-document-load";
import { FetchInstrumentation } from "@opentelemetry/instrumentation-fetch";
import { UserInteractionInstrumentation } from "@opentelemetry/instrumentation-user-interaction";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, WebTracerProvider } from "@opentelemetry/sdk-trace-web";

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** Spans without a parent get the page's: a click is in the trace of its page. Zone.js keeps the rest. */
class PageContextManager extends ZoneContextManager {
  constructor(page) {
    super();
    this.page = page;
  }

  active() {
    const current = super.active();
    return trace.getSpan(current) ? current : this.page;
  }
}

/**
 * Trace page loads, clicks and calls of fetch.
 *
 * @param {{service: string, collector: string, api: string, traceparent: string}} options Service name of the spans;
 *   origins of the OTLP/HTTP receiver and of the API, which alone gets trace headers; the page's own trace.
 */
export function configureTracing({ service, collector, api, traceparent }) {
  const exporter = new OTLPTraceExporter({ url: `${collector}/v1/traces` });
  const provider = new WebTracerProvider({
    resource: resourceFromAttributes({ "service.name": service }),
    spanProcessors: [new BatchSpanProcessor(exporter, { scheduledDelayMillis: 500 })],
  });
  const propagator = new W3CTraceContextPropagator();
  const page = propagator.extract(ROOT_CONTEXT, { traceparent }, defaultTextMapGetter);
  provider.register({ contextManager: new PageContextManager(page), propagator });
  registerInstrumentations({
    instrumentations: [
      new DocumentLoadInstrumentation(),
      new UserInteractionInstrumentation({ eventNames: ["click"] }),
      new FetchInstrumentation({
        propagateTraceHeaderCorsUrls: [new RegExp(`^${escaped(api)}/`)],
        ignoreUrls: [new RegExp(`^${escaped(collector)}/`)],
      }),
    ],
  });
}
