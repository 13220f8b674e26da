"""A Celery application for the test that runs a real worker: two tasks, then the end."""

from __future__ import annotations

from eco2_tracing import configure_logging

configure_logging(service_name="worker")

import logging  # noqa: E402 - the order of the documentation

from celery import Celery, signals  # noqa: E402

app = Celery("celery_app", broker="memory://", backend="cache+memory://")
app.conf.worker_hijack_root_logger = True  # the default


@app.task
def work(fails: bool) -> None:
    """Log and print, and perhaps fail."""
    logging.getLogger("tasks").info("in the task")
    print("printed in the task")
    if fails:
        raise ValueError("token=planted-secret")


@signals.worker_ready.connect
def send(sender, **_):
    """Send the tasks when the worker is ready."""
    work.delay(False)
    work.delay(True)


@signals.task_postrun.connect
def end(args, **_):
    """Stop after the last task. The pool is `solo`: this is the worker's own process."""
    if args[0]:
        app.control.shutdown()
