"""Custom transports for each package and kind of client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.calls.conftest import Caller


class Making:
    """Creates transports for a caller.

    Args:
        caller: The client library.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        module = caller.module
        self.base: type = module.AsyncBaseTransport if caller.is_async else module.BaseTransport
        self.http: type = module.AsyncHTTPTransport if caller.is_async else module.HTTPTransport
        self.stream: type = module.AsyncByteStream if caller.is_async else module.SyncByteStream
        self._name = "handle_async_request" if caller.is_async else "handle_request"
        self._opened: list[Any] = []

    def open(self) -> Any:
        """A transport of the package, closed by the transports that wrap it."""
        self._opened.append(self.http(verify=False))
        return self._opened[-1]

    def of(
        self, work: Callable[[Any, Any, Callable[[Any], Any]], Any], *bases: type, **attributes: Any
    ) -> type:
        """Create a class of transports.

        Args:
            work: A generator of the transport, the request and what hands a request on: it yields what that returns,
                is sent the response, and returns one.
            bases: The classes that it derives from, unless from the package's base alone.
            attributes: Of the class.
        """
        if self._caller.is_async:

            async def handle(self: Any, request: Any) -> Any:
                steps = work(self, request, self.hand_on)
                return await _async_steps(steps)

        else:

            def handle(self: Any, request: Any) -> Any:
                return _steps(work(self, request, self.hand_on))

        name = self._name

        def hand_on(self: Any, request: Any) -> Any:
            return getattr(self.inner, name)(request)

        opened = self._opened

        async def aclose(self: Any) -> None:
            while opened:
                await opened.pop().aclose()
            for base in bases:
                await base.aclose(self)  # type: ignore[attr-defined]

        def close(self: Any) -> None:
            while opened:
                opened.pop().close()
            for base in bases:
                base.close(self)  # type: ignore[attr-defined]

        closing = {"aclose": aclose} if self._caller.is_async else {"close": close}
        return type(
            "Transport",
            bases or (self.base,),
            {self._name: handle, "hand_on": hand_on, **closing, **attributes},
        )

    def send(self, transport: Any, request: Any) -> Any:
        """Send a request by a transport without a client, and read the response."""
        import asyncio

        if not self._caller.is_async:
            with transport:
                response = transport.handle_request(request)
                response.read()
            return response

        async def call() -> Any:
            async with transport:
                response = await transport.handle_async_request(request)
                await response.aread()
            return response

        return asyncio.run(call())

    def wrapping(self, work: Any, inner: Any) -> Any:
        """A transport that holds another one."""
        made = self.of(work)()
        made.inner = inner
        return made

    def hiding(self, work: Any, inner: Any) -> Any:
        """A transport that holds another one where it is not found."""
        name = self._name
        return self.of(work, hand_on=staticmethod(getattr(inner, name)))()


def _steps(generator: Any) -> Any:
    try:
        step = next(generator)
        while True:
            step = generator.send(step)
    except StopIteration as end:
        return end.value


async def _async_steps(generator: Any) -> Any:
    try:
        step = next(generator)
        while True:
            step = generator.send(await step)
    except StopIteration as end:
        return end.value


def retry(_self: Any, request: Any, hand_on: Any) -> Any:
    """Send a request up to three times."""
    for _ in range(3):
        response = yield hand_on(request)
        if response.status_code != 503:
            break
    return response
