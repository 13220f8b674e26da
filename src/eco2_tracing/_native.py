"""Threads, locks, queues, sockets and sleep of the operating system, also under gevent and eventlet.

gevent and eventlet replace those of the standard library ("monkey patching"): a thread becomes a greenlet, and all
greenlets share one thread. An original call blocks that thread and every request in it. Therefore the threads of this
library are threads of the operating system and use only original functions. Greenlets pass work to them without
waiting. A flush or shutdown waits with `wait`, which lets other greenlets run.
"""

from __future__ import annotations

import _thread
import queue
import select
import socket as _socket
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_PAUSE_S = 0.005
"""Polling interval in seconds of a greenlet that waits for a thread."""

_BACKGROUND_PAUSE_S = 0.05


def patcher(module: str = "threading") -> str | None:
    """Return ``gevent`` or ``eventlet`` if it has patched a module of the standard library."""
    monkey: Any = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched(module):
        return "gevent"
    eventlet: Any = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched(_EVENTLET_NAMES.get(module, module)):
        return "eventlet"
    return None


_PATCHED = ("threading", "socket", "ssl", "select", "time", "os", "queue", "subprocess")
"""A program may patch some of these modules only, such as with ``patch_all(thread=False)``."""


def _any_patcher() -> str | None:
    return next(filter(None, map(patcher, _PATCHED)), None)


def original(module: ModuleType, name: str) -> Any:
    """Return the original attribute of a module of the standard library."""
    found = patcher(module.__name__)
    if found == "gevent":
        return sys.modules["gevent.monkey"].get_original(module.__name__, name)
    if found == "eventlet":
        module = sys.modules["eventlet.patcher"].original(module.__name__)
    return getattr(module, name)


_EVENTLET_NAMES = {"_thread": "thread", "queue": "thread", "threading": "thread"}

sleep: Callable[[float], None] = original(time, "sleep")
start_new_thread: Callable[[Callable[[], object], tuple[()]], int] = original(_thread, "start_new_thread")
get_ident: Callable[[], int] = original(_thread, "get_ident")
Lock: Callable[[], _thread.LockType] = original(_thread, "allocate_lock")
poll: Callable[[], Any] = original(select, "poll")
_getaddrinfo: Callable[..., list[Any]] = original(_socket, "getaddrinfo")
_make_socket: Callable[..., _socket.socket] = original(_socket, "socket")
if TYPE_CHECKING:
    Signal = queue.SimpleQueue[None]
else:
    Signal = original(queue, "SimpleQueue")
# Not patched in this module. Greenlets of one thread do not exclude each other with it, so it cannot deadlock them.
# Code that holds it must not switch greenlets.
RLock = _thread.RLock


def getaddrinfo(*arguments: Any, **named: Any) -> list[Any]:
    """Call the original `socket.getaddrinfo`."""
    look_up = _socket.getaddrinfo if patcher("socket") is None else _getaddrinfo
    return look_up(*arguments, **named)


def socket(*arguments: Any) -> _socket.socket:
    """Return an original `socket.socket`."""
    make = _socket.socket if patcher("socket") is None else _make_socket
    return make(*arguments)


def connect(host: str, port: int, timeout_s: float) -> _socket.socket:
    """Return a TCP connection with an original socket, as `socket.create_connection` does.

    ``timeout_s`` is for each address; also the timeout of the socket. `OSError`: no address accepts the connection.
    """
    problem: OSError | None = None
    for family, kind, protocol, _, address in getaddrinfo(host, port, type=_socket.SOCK_STREAM):
        sock = socket(family, kind, protocol)
        try:
            sock.settimeout(timeout_s)
            sock.connect(address)
        except OSError as error:
            sock.close()
            problem = error
        else:
            return sock
    raise problem or OSError(f"{host!r} has no address")


def wait(signal: Signal, timeout_s: float, *, background: bool = False) -> bool:
    """Wait for an item of a queue, and take it; return True if there was one. Others run meanwhile.

    In the background it polls less often, and does not keep gevent's loop running.
    """
    pause = _cooperative_sleep(background)
    try:
        if pause is None:
            signal.get(timeout=max(timeout_s, 0.0))
            return True
        deadline = time.monotonic() + timeout_s
        while signal.empty() and (left := deadline - time.monotonic()) > 0:
            pause(min(left, _BACKGROUND_PAUSE_S if background else _PAUSE_S))
        signal.get_nowait()
    except queue.Empty:
        return False
    return True


def _cooperative_sleep(background: bool) -> Callable[[float], Any] | None:
    """Return a sleep that lets other greenlets run; ``None`` if the thread may or must block."""
    name = None if get_ident() in _own_threads else _greenlets()
    if name is None:
        return None
    library: Any = sys.modules[name]
    if name == "gevent":
        # The hub cannot switch to other greenlets. A signal handler may run in it.
        in_hub = library.getcurrent() is library.get_hub()
        sleeps = partial(library.sleep, ref=False) if background else library.sleep
    else:
        in_hub = library.getcurrent() is library.hubs.get_hub().greenlet
        sleeps = library.sleep
    return None if in_hub else sleeps


def _greenlets() -> str | None:
    """Return the library whose greenlets share the calling thread, ``gevent`` or ``eventlet``, whatever is patched.

    If threads are not patched, only the main thread is assumed to have a hub.
    """
    patched = _any_patcher()
    if patched is not None and (patcher() or threading.main_thread().ident == get_ident()):
        return patched
    for name, module, kind in _GREENLETS:
        base: Any = getattr(sys.modules.get(module), kind, None)
        if base is None:
            continue
        greenlet = sys.modules[name].getcurrent()
        while greenlet is not None:
            if isinstance(greenlet, base):
                return name
            greenlet = greenlet.parent
    return None


_GREENLETS = (("gevent", "gevent.hub", "Hub"), ("eventlet", "eventlet.greenthread", "GreenThread"))
"""Types among the parents of a library's greenlets. SQLAlchemy's greenlets have other parents."""

_own_threads: set[int] = set()


def in_own_thread() -> bool:
    """Return True in a thread of ours that must not use patched objects, such as the locks of `logging`."""
    return get_ident() in _own_threads and _any_patcher() is not None


class NativeThread:
    """A daemon thread of the operating system. If nothing is patched, it is a `threading.Thread`.

    The target must not raise. An external one runs code of other packages, which expects the application's kind of
    thread: a greenlet if threads are patched.
    """

    def __init__(self, target: Callable[[], object], name: str, *, external: bool = False) -> None:
        self._target = target
        self._name = name
        self._external = external
        self._done: Signal = Signal()
        self._alive = self._listed = False
        self._idents: tuple[int, int] | None = None

    def start(self) -> None:
        """Start the thread. `RuntimeError`: the interpreter is shutting down or has no more threads."""
        self._alive = True
        self._listed = patcher() is None
        try:
            if self._listed or self._external:
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
            else:
                start_new_thread(self._run, ())
        except RuntimeError:
            self._alive = False
            raise

    def is_alive(self) -> bool:
        """Return True between the start and the end."""
        return self._alive

    def is_current(self) -> bool:
        """Return True if called in this thread."""
        return self._idents == (get_ident(), self._green_ident())

    def join(self, timeout_s: float) -> None:
        """Wait for the end, at most so many seconds."""
        if self._alive and wait(self._done, timeout_s):
            self._done.put(None)  # for the next call

    def _green_ident(self) -> int:
        return _thread.get_ident() if self._external else 0

    def _run(self) -> None:
        ident = get_ident()
        self._idents = ident, self._green_ident()
        own = self._listed or not self._external
        if own:
            _own_threads.add(ident)
        try:
            self._target()
        finally:
            self._alive = False
            self._done.put(None)
            if own:
                if self._listed and patcher() is not None:
                    # `threading` would look for the thread by an id that the patch changed, and print a traceback.
                    Signal().get()
                _own_threads.discard(ident)


def forget_threads() -> None:
    """In a forked child: forget the threads of the parent."""
    _own_threads.clear()
