"""``python -m eco2_tracing`` is the command ``eco2-tracing``."""

from __future__ import annotations

from eco2_tracing._cli import main

raise SystemExit(main())
