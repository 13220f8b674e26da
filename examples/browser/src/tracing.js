import { ZoneContextManager } from "@opentelemetry/context-zone";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { registerInstrumentations } from "@opentelemetry/instrumentation";
import { DocumentLoadInstrumentation } from "@opentelemetry/instrumentation-document-load";
import { FetchInstrumentation } from "@opentelemetry/instrumentation-fetch";
import { UserInteractionInstrumentation } from "@opentelemetry/instrumentation-user-interaction";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, WebTracerProvider } from "@opentelemetry/sdk-trace-web";

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/**
 * Trace page loads, clicks and calls of fetch.
 *
 * @param {{service: string, collector: string, api: string}} options Service name of the spans; origins of the OTLP
 *   HTTP receiver and of the API, which alone gets trace headers.
 */
export function configureTracing({ service, collector, api }) {
  const exporter = new OTLPTraceExporter({ url: `${collector}/v1/traces` });
  const provider = new WebTracerProvider({
    resource: resourceFromAttributes({ "service.name": service }),
    spanProcessors: [new BatchSpanProcessor(exporter, { scheduledDelayMillis: 500 })],
  });
  // The propagators are the SDK's default, tracecontext and baggage. Zone.js keeps the current span across callbacks.
  provider.register({ contextManager: new ZoneContextManager() });
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
