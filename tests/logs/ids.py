"""The ids of the service's spans. Importing the service's module would configure logging."""

from __future__ import annotations

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SPAN_ID = 0xB7AD6B7169203331
