"""`traced` and `span`: what they record, and what they do not change."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import logging
import threading
from contextlib import contextmanager

import pytest
from fastapi import HTTPException
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from tests.support.hostile import FrozenError, Unreadable, UnreadableError

from eco2_tracing._spans.manual import current_span_id, current_trace_id, span, traced


def events(recorded):
    """The exception types of a span's events."""
    return [event.attributes["exception.type"] for event in recorded.events]


@traced
def plain(number: int, *, factor: int = 2) -> int:
    """Multiply."""
    return number * factor


class Shop:
    """A class with every kind of method."""

    @traced
    def sell(self, what):
        """Sell."""
        return self, what

    @traced
    @classmethod
    def above_class(cls):
        return cls

    @classmethod
    @traced
    def below_class(cls):
        return cls

    @traced("static above")
    @staticmethod
    def above_static(value):
        return value

    @staticmethod
    @traced("static below")
    def below_static(value):
        return value


class TestFunctions:
    def test_arguments_and_result_are_passed_through(self, spans):
        """The span has the function's name and location."""
        assert plain(3, factor=5) == 15
        assert spans.names == ["plain"]
        assert spans["plain"].attributes == {"code.function.name": f"{__name__}.plain"}
        assert spans["plain"].kind is SpanKind.INTERNAL
        assert spans["plain"].instrumentation_scope.name == "eco2_tracing"

    def test_keeps_name_docstring_and_signature(self):
        """FastAPI and help() see the original function."""
        assert plain.__name__ == "plain"
        assert plain.__doc__ == "Multiply."
        assert list(inspect.signature(plain).parameters) == ["number", "factor"]

    def test_name_attributes_and_kind(self, spans):
        """The arguments are on the span."""

        @traced("charge card", attributes={"shop.id": 7}, kind=SpanKind.CLIENT)
        def charge():
            return current_span_id()

        span_id = charge()
        assert spans["charge card"].attributes["shop.id"] == 7
        assert spans["charge card"].kind is SpanKind.CLIENT
        assert span_id == format(spans["charge card"].context.span_id, "016x")

    @pytest.mark.parametrize("method", ["above_class", "below_class"])
    def test_class_methods(self, spans, method):
        """In either order of the decorators the function receives the class."""
        assert getattr(Shop, method)() is Shop
        assert getattr(Shop(), method)() is Shop
        assert spans.names == [f"Shop.{method}"] * 2

    @pytest.mark.parametrize("method", ["above_static", "below_static"])
    def test_static_methods(self, spans, method):
        """In either order of the decorators the function receives no instance."""
        assert getattr(Shop(), method)(4) == 4
        assert spans.names == [
            method.replace("above_static", "static above").replace("below_static", "static below")
        ]

    def test_methods(self, spans):
        """The function receives its instance."""
        shop = Shop()
        assert shop.sell("tea") == (shop, "tea")
        assert spans.names == ["Shop.sell"]

    def test_partials_and_objects(self, spans):
        """A callable need not be a function."""

        class Caller:
            def __call__(self, value):
                return value

        class AsyncCaller:
            async def __call__(self, value):
                return current_span_id()

        assert traced(functools.partial(plain.__wrapped__, 2))() == 4
        assert traced(Caller())(1) == 1
        assert asyncio.run(traced("called")(AsyncCaller())(1)) is not None
        assert spans.names[0] == "partial"
        assert spans.names[1].endswith("Caller")
        assert spans.names[2] == "called"

    @pytest.mark.parametrize("wrong", [int, 5])
    def test_decorating_a_class_is_a_type_error(self, wrong):
        """The mistake shows at import, with a message."""
        with pytest.raises(TypeError, match="functions and methods"):
            traced(wrong)

    def test_nested_spans(self, spans):
        """A span within another is its child."""

        @traced
        def inner(): ...

        @traced("outer")
        def outer():
            inner()

        outer()
        assert spans[inner.__qualname__].parent == spans["outer"].context

    def test_coroutines(self, spans):
        """The span lasts until the function returns, and is current only within it."""

        @traced("work")
        async def work():
            before = current_span_id()
            await asyncio.sleep(0)
            return before, current_span_id()

        async def main():
            both = await asyncio.gather(work(), work())
            return both, current_span_id()

        both, outside = asyncio.run(main())
        assert outside is None
        assert inspect.iscoroutinefunction(work)
        assert {a for a, b in both if a == b} == {
            format(s.context.span_id, "016x") for s in spans._exporter.get_finished_spans()
        }

    def test_to_thread_carries_the_span(self, spans):
        """`asyncio.to_thread` copies the context."""

        @traced("outer")
        async def outer():
            return await asyncio.to_thread(plain, 1)

        assert asyncio.run(outer()) == 2
        assert spans["plain"].parent == spans["outer"].context


class TestErrors:
    def test_exception_is_recorded_once_and_sets_every_status(self, spans):
        """The innermost span has the event; every span that it leaves has the status."""

        @traced("inner")
        def inner():
            raise LookupError("no such item")

        @traced("outer")
        def outer():
            inner()

        with pytest.raises(LookupError), span("outermost"):
            outer()
        for name in ("inner", "outer", "outermost"):
            assert spans[name].status.status_code is StatusCode.ERROR
            assert spans[name].status.description == "LookupError: no such item"
            assert spans[name].attributes["error.type"] == "LookupError"
        assert [events(spans[n]) for n in ("inner", "outer", "outermost")] == [["LookupError"], [], []]

    def test_same_exception_object_in_another_trace(self, spans):
        """It is recorded again."""
        error = ValueError("shared")
        for name in ("first", "second"):
            with pytest.raises(ValueError, match="shared"), span(name):
                raise error
        assert events(spans["first"]) == events(spans["second"]) == ["ValueError"]

    def test_frozen_exceptions(self, spans):
        """An exception that takes no attributes is recorded."""
        error = FrozenError("cold")
        with pytest.raises(FrozenError) as raised, span("block"):
            raise error
        assert len(spans["block"].events) == 1
        assert raised.value is error

    def test_message_that_cannot_be_read(self, spans):
        """A `__str__` that raises costs only the message."""
        with pytest.raises(UnreadableError), span("block"):
            raise UnreadableError
        assert spans["block"].status.status_code is StatusCode.ERROR

    @pytest.mark.parametrize(
        "control",
        [
            KeyboardInterrupt,
            SystemExit,
            asyncio.CancelledError,
            GeneratorExit,
            StopIteration,
            StopAsyncIteration,
        ],
    )
    def test_control_flow_is_no_error(self, spans, control):
        """These exceptions end the span without an error."""
        with pytest.raises(control), span("block"):
            raise control
        assert spans["block"].status.status_code is StatusCode.UNSET
        assert not spans["block"].events

    @pytest.mark.parametrize(("code", "status"), [(404, StatusCode.UNSET), (503, StatusCode.ERROR)])
    def test_http_exceptions_below_500_are_no_errors(self, spans, code, status):
        """As for the server span."""
        with pytest.raises(HTTPException), span("block"):
            raise HTTPException(code)
        assert spans["block"].status.status_code is status

    def test_cancelled_task(self, spans):
        """The coroutine's span ends without an error."""
        started = asyncio.Event()

        @traced("work")
        async def work():
            started.set()
            await asyncio.Event().wait()

        async def main():
            task = asyncio.create_task(work())
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        assert spans["work"].status.status_code is StatusCode.UNSET


class TestGenerators:
    def test_is_still_a_generator_function(self):
        """FastAPI and pytest inspect it."""

        @traced
        def numbers():
            yield 1

        @traced
        async def later():
            yield 1

        assert inspect.isgeneratorfunction(numbers)
        assert inspect.isasyncgenfunction(later)

    def test_current_only_in_the_body(self, spans):
        """The consumer sees neither the span nor spans opened in the body."""
        seen = []

        @traced("numbers")
        def numbers():
            seen.append(current_span_id())
            yield 1
            with span("held"):
                seen.append(current_span_id())
                yield 2
                seen.append(current_span_id())
            seen.append(current_span_id())
            return "end"

        def consume():
            return (yield from numbers())

        outside = []
        consumer = consume()
        with pytest.raises(StopIteration) as stop:
            while True:
                next(consumer)
                outside.append(current_span_id())
        assert stop.value.value == "end"
        assert outside == [None, None]
        assert seen[0] == seen[3] == format(spans["numbers"].context.span_id, "016x")
        assert seen[1] == seen[2] == format(spans["held"].context.span_id, "016x")
        assert spans["held"].parent == spans["numbers"].context

    def test_no_span_before_the_first_item(self, spans):
        """A generator that is not iterated has no span."""

        @traced("numbers")
        def numbers():
            yield 1

        numbers().close()
        assert spans.names == []

    def test_send_throw_and_close(self, spans):
        """They reach the body."""
        log = []

        @traced("body")
        def body():
            while True:
                try:
                    log.append((yield len(log)))
                except KeyError as error:
                    log.append(repr(error))
                finally:
                    assert current_span_id() is not None

        generator = body()
        assert next(generator) == 0
        assert generator.send("a") == 1
        assert generator.throw(KeyError("k")) == 2
        generator.close()
        assert log == ["a", "KeyError('k')"]
        assert spans["body"].status.status_code is StatusCode.UNSET

    def test_body_that_ignores_close(self, spans):
        """Python raises RuntimeError, as without the decorator."""

        @traced("body")
        def body():
            try:
                yield 1
            except GeneratorExit:
                yield 2

        generator = body()
        next(generator)
        with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            generator.close()

    def test_failing_body(self, spans):
        """Its exception is recorded and reaches the consumer."""

        @traced("body")
        def body():
            yield 1
            raise OSError("gone")

        with pytest.raises(OSError, match="gone"):
            list(body())
        assert events(spans["body"]) == ["OSError"]

    def test_failing_call(self, spans):
        """Wrong arguments end the span too."""

        @traced("body")
        def body(needed):
            yield needed

        with pytest.raises(TypeError, match="needed"):
            next(body())
        assert spans.names == ["body"]

    def test_abandoned(self, spans):
        """A garbage-collected generator ends its span."""

        @traced("body")
        def body():
            yield 1

        generator = body()
        next(generator)
        del generator
        gc.collect()
        assert spans.names == ["body"]

    def test_under_contextmanager(self, spans):
        """A context manager of a traced generator works; its span is not current in the block."""

        @contextmanager
        @traced("open")
        def opened():
            yield current_span_id()

        with opened() as inside:
            assert inside is not None
            assert current_span_id() is None
        assert spans.names == ["open"]


class TestAsyncGenerators:
    def test_current_only_in_the_body(self, spans):
        """The consumer sees neither the span nor spans opened in the body."""

        @traced("numbers")
        async def numbers():
            await asyncio.sleep(0)
            yield current_span_id()
            await asyncio.sleep(0)
            yield current_span_id()

        async def main():
            return [(inside, current_span_id()) async for inside in numbers()]

        seen = asyncio.run(main())
        assert {inside for inside, _ in seen} == {format(spans["numbers"].context.span_id, "016x")}
        assert [outside for _, outside in seen] == [None, None]

    def test_send_throw_and_close(self, spans):
        """They reach the body."""
        log = []

        @traced("body")
        async def body():
            try:
                while True:
                    try:
                        log.append((yield len(log)))
                    except KeyError as error:
                        log.append(repr(error))
            finally:
                await asyncio.sleep(0)
                log.append(current_span_id())

        async def main():
            generator = body()
            assert await anext(generator) == 0
            assert await generator.asend("a") == 1
            assert await generator.athrow(KeyError("k")) == 2
            await generator.aclose()

        asyncio.run(main())
        assert log == ["a", "KeyError('k')", format(spans["body"].context.span_id, "016x")]
        assert spans["body"].status.status_code is StatusCode.UNSET

    def test_failing_body(self, spans):
        """Its exception is recorded and reaches the consumer."""

        @traced("body")
        async def body():
            yield 1
            raise OSError("gone")

        async def main():
            return [item async for item in body()]

        with pytest.raises(OSError, match="gone"):
            asyncio.run(main())
        assert events(spans["body"]) == ["OSError"]

    def test_abandoned(self, spans):
        """A garbage-collected generator ends its span."""

        @traced("body")
        async def body():
            yield 1

        async def main():
            async for _ in body():
                break

        asyncio.run(main())
        assert spans.names == ["body"]

    def test_steps_in_different_tasks(self, spans, caplog):
        """Each step restores the context of its task."""

        @traced("body")
        async def body():
            yield current_span_id()
            yield current_span_id()

        async def main():
            generator = body()
            first = await asyncio.create_task(anext(generator))
            second = await asyncio.create_task(anext(generator))
            await generator.aclose()
            return first, second

        first, second = asyncio.run(main())
        assert first == second
        assert not caplog.records


class TestHost:
    def test_without_a_provider(self):
        """Without a configuration the code runs and there are no ids."""
        with span("block") as block:
            assert not block.is_recording()
            assert current_trace_id() is None
            assert current_span_id() is None
        assert plain(1) == 2

    def test_ids_of_the_caller_without_a_provider(self):
        """The ids are those of the caller's context."""
        caller = trace.SpanContext(0xABC, 0xDEF, is_remote=True)
        token = otel_context.attach(trace.set_span_in_context(trace.NonRecordingSpan(caller)))
        try:
            with span("block"):
                assert current_trace_id() == f"{0xABC:032x}"
                assert current_span_id() == f"{0xDEF:016x}"
        finally:
            otel_context.detach(token)

    def test_provider_installed_later(self, spans):
        """It traces functions that were decorated before."""
        plain(1)
        assert spans.names == ["plain"]

    def test_failing_start(self, spans, provider, caplog):
        """A provider that raises costs the span and one log line; the ids are the parent's."""

        class Broken(trace.TracerProvider):
            def get_tracer(self, *args, **kwargs):
                raise RuntimeError("sampler broke")

        with span("outer"):
            outer = current_span_id()
            trace._TRACER_PROVIDER = Broken()
            for _ in range(2):
                with span("inner"):
                    assert current_span_id() == outer
            trace._TRACER_PROVIDER = provider
        assert [r.levelno for r in caplog.records if r.name == "eco2_tracing"] == [logging.WARNING]

    def test_failing_end(self, provider, caplog):
        """A processor that raises does not reach the code."""

        class Broken(SpanProcessor):
            def on_end(self, span):
                raise RuntimeError("processor broke")

        provider.add_span_processor(Broken())
        assert plain(1) == 2
        assert [r.levelno for r in caplog.records if r.name == "eco2_tracing"] == [logging.WARNING]

    def test_wrong_arguments(self, spans):
        """Unsupported attribute values do not raise."""
        with span("block", attributes={"bad": Unreadable()}), span(None):
            reached = True
        assert reached

    def test_left_in_another_context(self, spans, caplog):
        """A block entered in one thread and left in another logs nothing."""
        block = span("block")
        entered = threading.Thread(target=block.__enter__)
        entered.start()
        entered.join()
        block.__exit__(None, None, None)
        assert spans.names == ["block"]
        assert not caplog.records
