"""The batch span processor: its queue, its thread and its counters."""
