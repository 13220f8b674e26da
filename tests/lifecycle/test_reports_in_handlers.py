"""What is reported once may be reported from anywhere."""

from __future__ import annotations

import threading

from eco2_tracing import _guard


def test_a_handler_that_interrupts_a_report(caplog):
    """A signal's handler, or a destructor, reports while its own thread is in the middle of reporting."""

    def interrupted() -> None:
        with _guard._reported._lock:
            _guard.warn_once("interrupting", "from the handler")

    thread = threading.Thread(target=interrupted, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert caplog.messages == ["from the handler"]
    _guard._reported.after_fork()
    _guard.warn_once("interrupting", "again")
    assert len(caplog.messages) == 1
