"""OpenTelemetry's instrumentations of other libraries: which are switched on, and corrections of their defects."""
