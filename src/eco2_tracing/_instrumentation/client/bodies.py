"""Watches the bodies of responses: a call has failed if its body is incomplete or cannot be decoded."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from eco2_tracing._instrumentation.client.attempts import finished, raised

if TYPE_CHECKING:
    from types import ModuleType

    from eco2_tracing._instrumentation.client.attempts import Attempt, Response, Watch

    # The response and its body, by the identity of the response.
    Encoded = dict[int, tuple[ref[Response], ref[Any]]]


class WatchedBody:
    """The body of a response; the base of stream classes for httpx and httpx2.

    Args:
        response: The response of httpx, whose stream this replaces.
        attempt: The attempt. It is ended once: when the body has been closed or has failed.
    """

    _eco2_attempt: Attempt | None = None
    _eco2_decoded = False
    _eco2_closed = False

    def __init__(self, response: Response, attempt: Attempt) -> None:
        self._eco2_stream = response.stream
        self._eco2_attempt = attempt

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__.get("_eco2_stream"), name)

    def _eco2_close(self) -> None:
        self._eco2_closed = True
        if not self._eco2_decoded:  # otherwise the attempt ends with the decoding, which may fail
            attempt, self._eco2_attempt = self._eco2_attempt, None
            if attempt is not None:
                finished(attempt)

    def _eco2_fail(self, exception: BaseException) -> None:
        attempt, self._eco2_attempt = self._eco2_attempt, None
        if attempt is not None:
            raised(attempt, exception)

    def __del__(self) -> None:
        # The response was never closed. Also called at the end of the interpreter.
        if self._eco2_attempt is not None:
            finished(self._eco2_attempt)


class _Parts:
    """An iterator over the parts of an asynchronous body.

    It is no generator, because event loops track each asynchronous generator, which is slower.
    """

    __slots__ = ("_body", "_next", "_parts")

    def __init__(self, body: WatchedBody, parts: AsyncIterator[bytes]) -> None:
        self._body = body
        self._parts = parts
        self._next = parts.__anext__

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parts, name)  # ``aclose`` of a generator

    def __aiter__(self) -> _Parts:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._next()
        except StopAsyncIteration:
            raise
        except BaseException as exception:
            self._body._eco2_fail(exception)
            raise


class Bodies(NamedTuple):
    """Functions that replace the streams of responses of one package.

    Each is called with the response, its attempt and whether its body is encoded.

    Attributes:
        sync: For synchronous transports.
        asynchronous: For asynchronous ones.
    """

    sync: Watch
    asynchronous: Watch


def make_bodies(module: ModuleType) -> Bodies:
    """Return functions that replace the streams of httpx or httpx2; patch its decoders.

    The streams derive from classes of the package, which checks their types.
    """

    class Body(WatchedBody, module.SyncByteStream):  # type: ignore[name-defined,misc]
        def __iter__(self) -> Iterator[bytes]:
            try:
                yield from self._eco2_stream
            except GeneratorExit:
                raise
            except BaseException as exception:
                self._eco2_fail(exception)
                raise

        def close(self) -> None:
            self._eco2_close()
            self._eco2_stream.close()

    class AsyncBody(WatchedBody, module.AsyncByteStream):  # type: ignore[name-defined,misc]
        def __aiter__(self) -> AsyncIterator[bytes]:
            return _Parts(self, self._eco2_stream.__aiter__())

        def aclose(self) -> Awaitable[None]:
            # No coroutine function, which would cost a microsecond more.
            self._eco2_close()
            closing: Awaitable[None] = self._eco2_stream.aclose()
            return closing

    encoded: Encoded = {}
    _watch_decoders(module.Response, encoded)

    def watch(response: Response, attempt: Attempt, is_encoded: bool) -> None:
        response.stream = Body(response, attempt)
        if is_encoded:
            _register_encoded(encoded, response)

    def watch_async(response: Response, attempt: Attempt, is_encoded: bool) -> None:
        response.stream = AsyncBody(response, attempt)
        if is_encoded:
            _register_encoded(encoded, response)

    return Bodies(watch, watch_async)


def _register_encoded(encoded: Encoded, response: Response) -> None:
    key = id(response)
    encoded[key] = ref(response, lambda _: encoded.pop(key, None)), ref(response.stream)


def _watch_decoders(response: Any, encoded: Encoded) -> None:
    """Patch a class of responses to record errors of decoding. httpx may decode after it has closed the stream."""
    iterate, iterate_async = response.iter_bytes, response.aiter_bytes

    def body_of(owner: object) -> Any:
        found = encoded.pop(id(owner), None)
        return found[1]() if found is not None and found[0]() is owner else None

    @functools.wraps(iterate)
    def iter_bytes(self: object, *args: object, **kwargs: object) -> Iterator[bytes]:
        body = body_of(self) if encoded else None
        parts = iterate(self, *args, **kwargs)
        return parts if body is None else _decoded(body, parts)

    @functools.wraps(iterate_async)
    def aiter_bytes(self: object, *args: object, **kwargs: object) -> AsyncIterator[bytes]:
        body = body_of(self) if encoded else None
        parts = iterate_async(self, *args, **kwargs)
        return parts if body is None else _decoded_async(body, parts)

    response.iter_bytes, response.aiter_bytes = iter_bytes, aiter_bytes


def _decoded(body: WatchedBody, parts: Iterator[bytes]) -> Iterator[bytes]:
    body._eco2_decoded = True
    try:
        yield from parts
    except GeneratorExit:
        raise
    except BaseException as exception:
        body._eco2_fail(exception)
        raise
    finally:
        _decoding_ended(body)


async def _decoded_async(body: WatchedBody, parts: AsyncGenerator[bytes]) -> AsyncIterator[bytes]:
    body._eco2_decoded = True
    try:
        async for part in parts:
            yield part
    except GeneratorExit:
        await parts.aclose()
        raise
    except BaseException as exception:
        body._eco2_fail(exception)
        raise
    finally:
        _decoding_ended(body)


def _decoding_ended(body: WatchedBody) -> None:
    body._eco2_decoded = False
    if body._eco2_closed:
        body._eco2_close()
