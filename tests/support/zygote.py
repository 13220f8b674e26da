"""A process from which `tests.support.programs` forks: it imports the modules that its arguments name.

Started with one end of a socket pair as standard input. Each message on it is a program: its argument vector,
environment and folder as JSON, and the descriptors of its standard streams and of a pipe. The pipe gets the process id
and, when the program has ended, its status as of `os.waitpid`. The process ends when the socket is closed.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import selectors
import socket
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

MESSAGE_LIMIT = 1 << 18


def run(argv: list[str]) -> None:
    """Run the arguments of `python`: ``-c code``, ``-m module`` or a file, and what follows."""
    how, what, *rest = argv if argv[0].startswith("-") else ("", *argv)
    sys.orig_argv = [sys.executable, *argv]
    if how == "-m":
        sys.path[0] = str(Path.cwd())
        sys.argv = ["-m", *rest]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
        return
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    if how == "-c":
        sys.path[0] = ""
        sys.argv = ["-c", *rest]
        code = compile(what, "<string>", "exec")
    else:
        sys.path[0] = str(Path(what).resolve().parent)
        sys.argv = [what, *rest]
        main.__file__ = what
        code = compile(Path(what).read_bytes(), what, "exec")
    exec(code, main.__dict__)


def enter(told: dict[str, Any], streams: list[int]) -> None:
    """Give a new child what a new process has."""
    if told["session"]:
        os.setsid()
    else:
        os.setpgid(0, 0)  # a signal to its group is not for its siblings
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(told["cwd"])
    process = sys.modules.get("multiprocessing.process")
    if process is not None:  # where spawned children look for modules: read when it is imported
        process.ORIGINAL_DIR = told["cwd"]
    before = os.environ.get("PYTHONPATH")
    os.environ.clear()
    os.environ.update(told["env"])
    if (folders := os.environ.get("PYTHONPATH", "")) != before:
        sys.path[1:1] = filter(None, folders.split(os.pathsep))
    if os.environ.get("PYTHONUNBUFFERED"):
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] - of the interpreter
    if action := os.environ.get("PYTHONWARNINGS"):
        warnings.simplefilter(action)  # type: ignore[arg-type] - tests give an action alone


class Zygote:
    """Forks, and reports the process ids and the statuses.

    Args:
        control: Brings the programs.
    """

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.selector = selectors.DefaultSelector()
        self.selector.register(control, selectors.EVENT_READ)

    def close(self) -> None:
        """Close what belongs to this process."""
        for key in list(self.selector.get_map().values()):
            if key.data is not None:
                os.close(key.fd)
                os.close(key.data[1])
        self.selector.close()
        self.control.close()

    def serve(self) -> Callable[[], None]:
        """Fork for each message; returns what is to be done: in a child its program, here nothing."""
        while True:
            for key, _ in self.selector.select():
                if key.data is not None:
                    self.ended(key.fd, *key.data)
                elif (work := self.fork()) is not None:
                    self.close()
                    return work

    def ended(self, handle: int, child: int, report: int) -> None:
        """Report the status of a child."""
        self.selector.unregister(handle)
        os.close(handle)
        os.write(report, b"%d\n" % os.waitpid(child, 0)[1])
        os.close(report)

    def fork(self) -> Callable[[], None] | None:
        """Fork for one message; returns `None` while there may be more for this process."""
        message, descriptors, _, _ = socket.recv_fds(self.control, MESSAGE_LIMIT, 4)
        if not message:
            return lambda: None
        *streams, report = descriptors
        told = json.loads(message)
        child = os.fork()
        if not child:
            os.close(report)
            enter(told, streams)
            return lambda: run(told["argv"])
        for stream in streams:
            os.close(stream)
        os.write(report, b"%d\n" % child)
        self.selector.register(os.pidfd_open(child), selectors.EVENT_READ, (child, report))
        return None


if __name__ == "__main__":
    for module in sys.argv[1:]:
        importlib.import_module(module)
    # A child's garbage collector would write to, and so copy, every page of these modules: at its end, too.
    gc.collect()
    gc.freeze()
    Zygote(socket.socket(fileno=os.dup(0))).serve()()
