"""Celery: additions to OpenTelemetry's instrumentation, because of these defects.

- The children of a pool end by ``os._exit``, which loses the spans of their last second.
- If a message cannot be published, its span stays open and current in the thread.
- A task of a caller that is not trusted is neither continued nor linked.
- A worker whose broker is Redis sends commands all the time: each of some seven commands around a task, and each
  heartbeat, is a trace of one span.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context, attach, get_current
from opentelemetry.instrumentation.utils import suppress_instrumentation
from wrapt import register_post_import_hook

from eco2_tracing._guard import guarded
from eco2_tracing._untraced import SUPPRESSED, is_suppressed
from eco2_tracing.propagation import inbound_of

if TYPE_CHECKING:
    from types import ModuleType

    from eco2_tracing._instrumentation.common.replacement import Args, Instance, Kwargs, Patches, Wrapped

_FLUSH_MS = 1_500
"""The worker waits for its children before its own flush at exit."""
_TRACED: dict[str, object] = dict.fromkeys(SUPPRESSED)
"""Values that undo `suppress_instrumentation`."""
_UTILS = "opentelemetry.instrumentation.celery.utils"


def instrument(patches: Patches) -> None:
    """Add to the hooks of OpenTelemetry's instrumentation."""
    celery, signals = import_module("celery"), import_module("celery.signals")
    patches.wrap(celery.Celery, "send_task", _send_task)
    for signal, receiver in (
        (signals.worker_process_shutdown, _flush),
        (signals.worker_process_init, _resume),
        (signals.task_prerun, _begun),
    ):
        signal.connect(receiver, weak=False)
        patches.later(partial(signal.disconnect, receiver))
    register_post_import_hook(partial(_suppress_loop, patches), "celery.worker.consumer.consumer")


def _suppress_loop(patches: Patches, module: ModuleType) -> None:
    """Suppress instrumentation in a worker's loop; tasks resume it."""
    if patches.are_on:
        patches.wrap(module.Consumer, "start", _start)


def _start(wrapped: Wrapped, consumer: Instance, args: Args, kwargs: Kwargs) -> object:
    with suppress_instrumentation():
        return wrapped(*args, **kwargs)


def _resume(**_signal: object) -> None:
    """Resume instrumentation in a task, and in a child of the pool, which the loop may have started."""
    if is_suppressed(get_current()):
        attach(Context({**get_current(), **_TRACED}))


def _flush(**_signal: object) -> None:
    """Flush in a child of a pool before it ends."""
    with guarded("the flush at the end of a worker"):
        flush = getattr(trace.get_tracer_provider(), "force_flush", None)
        if flush is not None:
            flush(_FLUSH_MS)


def _begun(**_signal: object) -> None:
    """Link a task's span to a caller that is not trusted; OpenTelemetry's hook has just started the span."""
    _resume()
    with guarded("the beginning of a task"):
        inbound = inbound_of(get_current())
        if inbound is not None and inbound.link is not None:
            trace.get_current_span().add_link(inbound.link)


def _send_task(wrapped: Wrapped, app: Instance, args: Args, kwargs: Kwargs) -> object:
    with ExitStack() as stack:
        stack.push(partial(_unsent, args[0] if args else kwargs.get("name")))
        return wrapped(*args, **kwargs)


def _unsent(
    name: Instance, kind: type[BaseException] | None, error: BaseException | None, traceback: object
) -> None:
    """End the span that OpenTelemetry's hook leaves open if a message is not sent."""
    if not isinstance(error, Exception):
        return
    with guarded("ending the span of a task that was not sent"):
        utils = import_module(_UTILS)
        task = utils.retrieve_task_from_sender({"sender": name})
        opened = getattr(task, utils.CTX_KEY, None) or {}
        current = trace.get_current_span()
        for key, (span, activation, _) in list(opened.items()):
            if span is current:
                del opened[key]
                activation.__exit__(type(error), error, error.__traceback__)
