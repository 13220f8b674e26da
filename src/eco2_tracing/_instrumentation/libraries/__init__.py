"""OpenTelemetry's instrumentations of other libraries: which are enabled, and what is corrected in them."""
