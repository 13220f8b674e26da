"""The first code of every Python process below `eco2-tracing run`, which puts this folder on ``PYTHONPATH``.

It imports next to nothing: most processes are no servers. The ``sitecustomize`` that this one hides runs afterwards.
"""

import os
import sys

_ARGUMENTS = getattr(sys, "orig_argv", ())  # absent before Python 3.10, which may run below an application
_FOLDER = os.path.dirname(os.path.abspath(__file__))


def _is_server() -> bool:
    """Return False below an application: what it starts is no server, but for its own workers.

    An application sets the second variable to its process id. A process that replaces it by ``exec`` keeps the id.
    ``multiprocessing`` starts reloaded applications and workers, and gunicorn sets its variable for its successor.
    """
    application = os.environ.get("_ECO2_TRACING_RUN_APP", str(os.getpid()))
    return "_ECO2_TRACING_RUN" in os.environ and (
        application == str(os.getpid())
        or "GUNICORN_PID" in os.environ
        or any("multiprocessing" in each for each in _ARGUMENTS)
    )


def _report_missing() -> None:
    """Say that a server has no traces. The Python of a launcher, such as poetry's, does not need this library."""
    words = [os.path.basename(each) for each in _ARGUMENTS[1:3] if each != "-m"]
    if words and words[0] in {"fastapi", "granian", "gunicorn", "hypercorn", "uvicorn"}:
        sys.stderr.write(
            f"eco2-tracing run: no traces, because eco2-tracing is not installed for {sys.executable}: "
            f"{sys.executable} -m pip install eco2-tracing\n"
        )


def _start() -> None:
    sys.path[:] = [each for each in sys.path if each != _FOLDER]
    if _is_server():
        try:
            from eco2_tracing._run.start import start

            start()
        except ImportError:
            _report_missing()
        return
    before = os.environ.pop("PYTHONPATH", "").split(os.pathsep)
    folders = [each for each in before if each != _FOLDER]
    if folders:
        os.environ["PYTHONPATH"] = os.pathsep.join(folders)
    for name in [each for each in os.environ if each.startswith("_ECO2_TRACING_RUN")]:
        del os.environ[name]


try:
    _start()
finally:
    sys.modules.pop("sitecustomize", None)
    import sitecustomize  # type: ignore[import-not-found]  # noqa: F401 - the hidden one; `site` ignores that there is none
