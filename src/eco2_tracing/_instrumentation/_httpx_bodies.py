"""Bodies of responses: a call has failed where its body breaks off."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from eco2_tracing._instrumentation._httpx_attempts import finished, raised

if TYPE_CHECKING:
    from types import ModuleType

    from eco2_tracing._instrumentation._httpx_attempts import Attempt


class Bodies(NamedTuple):
    """The streams of one of the packages, by the kind of transport.

    Attributes:
        sync: Takes the stream of a response and its call.
        asynchronous: The same for asynchronous ones.
    """

    sync: type
    asynchronous: type


def make_bodies(module: ModuleType) -> Bodies:
    """Build the streams for httpx or httpx2, which check the types of streams."""
    decoding_error = module.DecodingError

    class WatchedBody:
        """The body of a response.

        Args:
            stream: The transport's.
            attempt: Ended once: when the body has been read, has broken off or is closed.
        """

        def __init__(self, stream: Any, attempt: Attempt) -> None:
            self._eco2_stream = stream
            self._eco2_attempt: Attempt | None = attempt

        def __getattr__(self, name: str) -> Any:
            return getattr(self.__dict__.get("_eco2_stream"), name)

        def _eco2_end(self) -> None:
            attempt, self._eco2_attempt = self._eco2_attempt, None
            if attempt is None:
                return
            # httpx decodes above the stream, and closes it while it handles the error.
            handled = sys.exc_info()[1]
            if isinstance(handled, decoding_error):
                raised(attempt, handled)
            else:
                finished(attempt)

        def _eco2_fail(self, exception: BaseException) -> None:
            attempt, self._eco2_attempt = self._eco2_attempt, None
            if attempt is not None:
                raised(attempt, exception)

        def __del__(self) -> None:
            # A response that nobody closes; also at the end of the interpreter.
            attempt = self.__dict__.get("_eco2_attempt")
            if attempt is not None:
                finished(attempt)

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
            try:
                self._eco2_stream.close()
            finally:
                self._eco2_end()

    class AsyncBody(WatchedBody, module.AsyncByteStream):  # type: ignore[name-defined,misc]
        async def __aiter__(self) -> AsyncIterator[bytes]:
            parts = self._eco2_stream.__aiter__()
            try:
                async for part in parts:
                    yield part
            except GeneratorExit:
                raise
            except BaseException as exception:
                self._eco2_fail(exception)
                raise
            finally:
                if isinstance(parts, AsyncGenerator):
                    await parts.aclose()

        async def aclose(self) -> None:
            try:
                await self._eco2_stream.aclose()
            finally:
                self._eco2_end()

    return Bodies(Body, AsyncBody)
