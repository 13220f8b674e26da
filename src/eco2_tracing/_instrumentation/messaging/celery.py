"""Celery: contrib's instrumentation, and what it leaves out.

- A pool's children end by ``os._exit``: the spans of their last second were lost, of ten tasks with a long export
  interval all ten.
- A message that cannot be published left its span open, and current for whatever the thread did next.
- A caller that is not trusted was neither continued nor linked to.
- A worker whose broker is Redis asks it all the time: a trace of one span for each of some seven commands around
  every task, and for the heartbeats of an idle one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context, attach, get_current
from opentelemetry.instrumentation.utils import suppress_instrumentation
from wrapt import register_post_import_hook

from eco2_tracing._guard import internal_failure
from eco2_tracing._suppression import SUPPRESSED, is_suppressed
from eco2_tracing.propagation import inbound_of

if TYPE_CHECKING:
    from eco2_tracing._instrumentation.messaging.switch import Patches

_FLUSH_MS = 1_500
"""The worker waits for its children first, and then has a budget of its own for the end of the process."""
_TRACED: dict[str, object] = dict.fromkeys(SUPPRESSED)
"""Values that undo ``suppress_instrumentation``."""
_UTILS = "opentelemetry.instrumentation.celery.utils"


def instrument(patches: Patches) -> None:
    """Add to contrib's hooks.

    Args:
        patches: Remembers what to undo.
    """
    celery, signals = import_module("celery"), import_module("celery.signals")
    patches.wrap(celery.Celery, "send_task", _send_task)
    for signal, receiver in (
        (signals.worker_process_shutdown, _flush),
        (signals.worker_process_init, _resume),
        (signals.task_prerun, _begun),
    ):
        signal.connect(receiver, weak=False)
        patches.later(partial(signal.disconnect, receiver))
    register_post_import_hook(partial(_quiet, patches), "celery.worker.consumer.consumer")


def _quiet(patches: Patches, module: Any) -> None:
    """A worker's own loop is not traced, whatever its broker is made of; its tasks are."""
    if patches.are_on:
        patches.wrap(module.Consumer, "start", _start)


def _start(wrapped: Callable[..., Any], consumer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with suppress_instrumentation():
        return wrapped(*args, **kwargs)


def _resume(**_signal: Any) -> None:
    """A task begins, or a child of the pool, which may have been made by the loop: from here on it is traced."""
    if is_suppressed(get_current()):
        attach(Context({**get_current(), **_TRACED}))


def _flush(**_signal: Any) -> None:
    """Deliver what a child of a pool has, before it ends."""
    try:
        flush = getattr(trace.get_tracer_provider(), "force_flush", None)
        if flush is not None:
            flush(_FLUSH_MS)
    except Exception:  # noqa: BLE001 - the process ends as it would have
        internal_failure("the flush at the end of a worker")


def _begun(**_signal: Any) -> None:
    """Contrib has just begun a task's span, and puts back the context before it when that ends."""
    _resume()
    try:
        inbound = inbound_of(get_current())
        if inbound is not None and inbound.link is not None:
            trace.get_current_span().add_link(inbound.link)
    except Exception:  # noqa: BLE001 - the task runs
        internal_failure("the beginning of a task")


def _send_task(wrapped: Callable[..., Any], app: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return wrapped(*args, **kwargs)
    except Exception as error:
        try:
            _close(args[0] if args else kwargs.get("name"), error)
        except Exception:  # noqa: BLE001 - the service gets the error that it is to get
            internal_failure("ending the span of a task that was not sent")
        raise


def _close(name: Any, error: Exception) -> None:
    """End the span that contrib holds open until a message is sent."""
    utils = import_module(_UTILS)
    task = utils.retrieve_task_from_sender({"sender": name})
    opened = getattr(task, utils.CTX_KEY, None) or {}
    current = trace.get_current_span()
    for key, (span, activation, _) in list(opened.items()):
        if span is current:
            del opened[key]
            activation.__exit__(type(error), error, error.__traceback__)
