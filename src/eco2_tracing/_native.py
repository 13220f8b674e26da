"""Threads, locks, queues, sockets and sleep of the operating system, also under gevent and eventlet.

gevent and eventlet replace those of the standard library ("monkey patching"): a thread becomes a greenlet, which shares
one thread with all requests. What is captured before the patch still blocks that thread, and with it every request.
So the threads of this library are always threads of the operating system and use nothing that is patched. A greenlet
hands work over without waiting; where it has to wait (a flush, the shutdown), `wait` lets the other greenlets run.
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

_PAUSE_S = 0.005
"""Seconds between two looks of a greenlet that waits for a thread."""

_BACKGROUND_PAUSE_S = 0.05


def patcher(module: str = "threading") -> str | None:
    """Return who has replaced a module of the standard library: ``gevent``, ``eventlet`` or nobody."""
    monkey: Any = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched(module):
        return "gevent"
    eventlet: Any = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched(_EVENTLET_NAMES.get(module, module)):
        return "eventlet"
    return None


_PATCHED = ("threading", "socket", "ssl", "select", "time", "os", "queue", "subprocess")
"""Modules of which a program may have any replaced, with or without threads (``patch_all(thread=False)``)."""


def _any_patcher() -> str | None:
    return next(filter(None, map(patcher, _PATCHED)), None)


def original(module: Any, name: str) -> Any:
    """Return an attribute of a standard module as it is without patches.

    Args:
        module: The module.
        name: The attribute.
    """
    found = patcher(module.__name__)
    if found == "gevent":
        return sys.modules["gevent.monkey"].get_original(module.__name__, name)
    if found == "eventlet":
        module = sys.modules["eventlet.patcher"].original(module.__name__)
    return getattr(module, name)


_EVENTLET_NAMES = {"_thread": "thread", "queue": "thread", "threading": "thread"}

# Read once: what was original at the import of this module is so for ever.
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
# Neither of the two replaces the type in this module. Between greenlets of one thread it excludes nobody, so that it
# can never block: nothing that switches to another greenlet may be called while it is held.
RLock = _thread.RLock


def getaddrinfo(*arguments: Any, **named: Any) -> list[Any]:
    """Look a name up, as `socket.getaddrinfo` does; the thread blocks."""
    look_up = _socket.getaddrinfo if patcher("socket") is None else _getaddrinfo
    return look_up(*arguments, **named)


def socket(*arguments: Any) -> _socket.socket:
    """Make a socket, as `socket.socket` does; its calls block the thread."""
    make = _socket.socket if patcher("socket") is None else _make_socket
    return make(*arguments)


def connect(host: str, port: int, timeout_s: float) -> _socket.socket:
    """Open a TCP connection, as `socket.create_connection` does.

    Args:
        host: Name or address.
        port: Port.
        timeout_s: Seconds for each address; also the timeout of the socket.

    Raises:
        OSError: No address accepts.
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
    """Wait for an item of a queue; meanwhile other threads run, and other greenlets of this one.

    Args:
        signal: The queue.
        timeout_s: Seconds to wait at most.
        background: Look less often, and do not keep gevent's loop going.

    Returns:
        Whether an item was taken.
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
    """Return a sleep that lets other greenlets run; ``None`` where the thread may, or has to, block."""
    name = None if get_ident() in _own_threads else _greenlets()
    if name is None:
        return None
    library: Any = sys.modules[name]
    if name == "gevent":
        # The hub itself cannot wait for others; a signal's handler may run there.
        in_hub = library.getcurrent() is library.get_hub()
        sleeps = partial(library.sleep, ref=False) if background else library.sleep
    else:
        in_hub = library.getcurrent() is library.hubs.get_hub().greenlet
        sleeps = library.sleep
    return None if in_hub else sleeps


def _greenlets() -> str | None:
    """Return whose greenlets share the calling thread, ``gevent`` or ``eventlet``, whatever is patched.

    Where threads are not patched, other threads of the program have no hub, and none is made for them.
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
"""What is found among the parents of a greenlet: SQLAlchemy's, which are of neither library, have other ones."""


_own_threads: set[int] = set()


def in_own_thread() -> bool:
    """Tell whether this is a thread of ours that must not touch what is patched, such as the locks of `logging`."""
    return get_ident() in _own_threads and _any_patcher() is not None


class NativeThread:
    """A daemon thread of the operating system.

    Where nothing is patched it is one of `threading`, for those who list threads.

    Args:
        target: What it runs; raises nothing.
        name: Its name.
        foreign: It runs code of others, which expects what the application's threads are: greenlets where they are
            patched.
    """

    def __init__(self, target: Callable[[], object], name: str, *, foreign: bool = False) -> None:
        self._target = target
        self._name = name
        self._foreign = foreign
        self._done: Signal = Signal()
        self._alive = self._listed = False
        self._idents: tuple[int, int] | None = None

    def start(self) -> None:
        """Start it.

        Raises:
            RuntimeError: The interpreter is ending, or has no more threads.
        """
        self._alive = True
        self._listed = patcher() is None
        try:
            if self._listed or self._foreign:
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
            else:
                start_new_thread(self._run, ())
        except RuntimeError:
            self._alive = False
            raise

    def is_alive(self) -> bool:
        """Tell whether it was started and has not ended."""
        return self._alive

    def is_current(self) -> bool:
        """Tell whether it is the one that asks."""
        return self._idents == (get_ident(), self._green_ident())

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended.

        Args:
            timeout_s: Seconds to wait at most.
        """
        if self._alive and wait(self._done, timeout_s):
            self._done.put(None)  # for the next who asks

    def _green_ident(self) -> int:
        return _thread.get_ident() if self._foreign else 0

    def _run(self) -> None:
        ident = get_ident()
        self._idents = ident, self._green_ident()
        own = self._listed or not self._foreign
        if own:
            _own_threads.add(ident)
        try:
            self._target()
        finally:
            self._alive = False
            self._done.put(None)
            if own:
                if self._listed and patcher() is not None:
                    # `threading` looks for the thread by an id that the patch changed, and would print a traceback.
                    Signal().get()
                _own_threads.discard(ident)


def forget_threads() -> None:
    """In a child process: none of the threads is there."""
    _own_threads.clear()
