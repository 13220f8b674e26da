"""A warning that is logged once may be logged from a signal handler or a destructor."""

from __future__ import annotations

import logging

from eco2_tracing import _guard


def test_a_handler_that_interrupts_a_report(caplog):
    """A handler that reports the key which its thread is reporting returns, and the key is logged once."""

    class Interrupting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            _guard.warn_once("interrupting", "from the handler")

    handler = Interrupting()
    _guard.logger.addHandler(handler)
    try:
        _guard.warn_once("interrupting", "first")
    finally:
        _guard.logger.removeHandler(handler)
    _guard.warn_once("interrupting", "again")
    assert caplog.messages == ["first"]
