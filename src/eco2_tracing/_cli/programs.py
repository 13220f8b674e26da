"""Finds the program of a command, and says what is wrong with one that cannot be traced."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import NamedTuple

_PYTHON = re.compile(r"(?:python|pypy)[\d.]*t?(?:\.exe)?")
# Programs that start Python ones, and shells, whose scripts may.
_LAUNCHERS = frozenset(
    """bash conda dash direnv doppler dumb-init env gosu honcho ksh make mamba micromamba mise nice nohup op pixi
    rye sh stdbuf su-exec sudo time timeout tini uv uvx uwsgi zsh""".split()  # noqa: SIM905 - as a sentence
)
_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")
_EXAMPLE = "eco2-tracing run uvicorn main:app"


class CommandError(Exception):
    """The command cannot run, or cannot be traced; the message says why and what to do."""


def program_of(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return the path of the program that a command runs.

    Args:
        command: The command with its arguments.
        environ: Has ``PATH``. The folder of this Python comes first: there are the programs of its environment.

    Raises:
        CommandError: There is no such program, it is no Python program, or it is one of another environment that does
            not have this library.
    """
    if not command:
        raise CommandError(f"it needs a command, for example: {_EXAMPLE}")
    path = _found(command[0], environ)
    interpreter = _interpreter(path, command, environ)
    if interpreter is None:
        return path
    python, *arguments = interpreter
    told = _read(arguments)
    if told.isolated:
        raise CommandError(
            f"{command[0]} runs as python -{told.isolated}, which ignores what eco2-tracing run adds; run it without, "
            "or call configure_tracing() and instrument_app(app) in the code"
        )
    if not _is_this_environment(python):
        _check_library(python, environ)
    elif _is_python(path):
        _check_target(told)
    return path


def _found(name: str, environ: Mapping[str, str]) -> str:
    own = os.path.dirname(sys.executable) if sys.prefix != sys.base_prefix else ""
    folders = [own, environ.get("PATH", os.defpath)]
    if path := shutil.which(name, path=os.pathsep.join(filter(None, folders))):
        return os.path.abspath(path)
    if re.fullmatch(r"[\w.]+:[\w.]+", name):
        raise CommandError(
            f"{name} is an application, not a command; name its server: eco2-tracing run uvicorn {name}"
        )
    if os.path.isfile(name):
        cure = f"eco2-tracing run python {name}" if name.endswith(".py") else f"chmod +x {name}"
        raise CommandError(f"{name} cannot be executed: {cure}")
    raise CommandError(f"command not found: {name}")


def _interpreter(path: str, command: Sequence[str], environ: Mapping[str, str]) -> list[str] | None:
    """Return the Python of a program with its arguments; ``None`` for a program that starts Python ones.

    Raises:
        CommandError: The program is neither.
    """
    if _is_python(path):
        return [path, *command[1:]]
    words = _shebang(path)
    if words and os.path.basename(words[0]) == "env":
        words = [each for each in words[1:] if not each.startswith("-")]
        words[:1] = [shutil.which(words[0], path=environ.get("PATH")) or words[0]] if words else []
    program = words[0] if words else path
    if _is_python(program):
        return words
    if os.path.basename(program) in _LAUNCHERS:
        return None
    kind = f"a program of {program}" if words else "no Python program"
    raise CommandError(f"{command[0]} is not a Python command ({path} is {kind}); for example: {_EXAMPLE}")


def _is_python(path: str) -> bool:
    return _PYTHON.fullmatch(os.path.basename(path)) is not None


def _shebang(path: str) -> list[str]:
    """Return the words of a script's first line; of its second where that only starts Python, as pip and uv write."""
    try:
        with open(path, "rb") as file:
            lines = file.read(1024).decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    if not lines or not lines[0].startswith("#!"):
        return []
    if len(lines) > 1 and (python := re.match(r"""'''exec' "?([^"]*python[\d.]*)"? """, lines[1])):
        return [python[1]]
    return lines[0][2:].split()


class _PythonCommand(NamedTuple):
    """The command line of a Python interpreter.

    Attributes:
        isolated: The option under which it ignores the environment; empty for none.
        module: The module to run.
        script: The file to run.
    """

    isolated: str = ""
    module: str | None = None
    script: str | None = None


def _read(arguments: Sequence[str]) -> _PythonCommand:
    isolated = ""
    waiting = iter(arguments)
    for argument in waiting:
        if argument in _WITH_VALUE:
            next(waiting, None)
        elif not argument.startswith("-"):
            return _PythonCommand(isolated, script=argument)
        elif not argument.startswith(("--", "-W", "-X")):
            flags, run, name = argument.partition("c" if "c" in argument else "m")
            isolated = next((each for each in "IES" if each in flags), isolated)
            if run:
                return (
                    _PythonCommand(isolated, name or next(waiting, ""))
                    if run == "m"
                    else _PythonCommand(isolated)
                )
    return _PythonCommand(isolated)


def _is_this_environment(python: str) -> bool:
    """Return whether a Python is this one; a virtual environment has several names for it."""
    folders = {os.path.realpath(os.path.dirname(each)) for each in (python, sys.executable)}
    files = {os.path.realpath(each) for each in (python, sys.executable)}
    return len(folders) == len(files) == 1


def _check_library(python: str, environ: Mapping[str, str]) -> None:
    """Raise if another Python does not have this library."""
    import subprocess  # takes longer than the rest

    program = "import importlib.util as u, sys; sys.exit(u.find_spec('eco2_tracing') is None)"
    try:
        done = subprocess.run([python, "-c", program], env=environ, check=False, capture_output=True)
    except OSError as error:
        raise CommandError(f"{python} cannot run: {error.strerror}") from None
    if done.returncode:
        raise CommandError(
            f"eco2-tracing is not installed for {python}, which runs the command: {python} -m pip install eco2-tracing"
        )


def _check_target(command: _PythonCommand) -> None:
    """Raise if the module or file that Python is to run does not exist."""
    if command.script is not None and not os.path.exists(command.script):
        raise CommandError(f"file not found: {command.script}")
    if command.module is not None:
        top = command.module.partition(".")[0]
        sys.path.insert(0, os.getcwd())
        if not top or find_spec(top) is None:
            raise CommandError(
                f"module not found: {top}; {sys.executable} looked in {os.getcwd()} and its packages"
            )
