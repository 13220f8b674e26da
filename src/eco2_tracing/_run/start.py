"""The start of a process below `eco2-tracing run`: it only watches imports."""

from __future__ import annotations

import os

from eco2_tracing._run.imports import ImportHooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_PROCESS = "_ECO2_TRACING_RUN_PROCESS"
"""The variable with the id of the command's own process."""

_SERVERS = ("fastapi_cli", "granian", "gunicorn", "hypercorn", "uvicorn")
# What a job or a worker without FastAPI makes spans with.
_LIBRARIES = (
    "aio_pika", "aiobotocore", "aiohttp", "aiokafka", "asyncpg", "botocore", "celery", "confluent_kafka",
    "eco2_tracing._spans.manual", "grpc", "httpx", "httpx2", "kafka", "mysql.connector", "pika", "psycopg",
    "psycopg2", "pymongo", "pymysql", "redis", "requests", "sqlalchemy",
)  # fmt: skip


def start() -> None:
    """Set logging up when a server is imported, and the rest when FastAPI is.

    The command's own process is no server if it imports a traced library before any of them, as a job does: tracing is
    configured then.
    """
    hooks: dict[str, Callable[[ModuleType], None]] = dict.fromkeys(_SERVERS, _server_imported)
    hooks |= {"fastapi": _fastapi_imported, "fastapi.applications": _applications_imported}
    if os.environ.get(_PROCESS) == str(os.getpid()):
        hooks |= dict.fromkeys(_LIBRARIES, _library_imported)
    ImportHooks(hooks).install()


def _server_imported(module: ModuleType) -> None:
    """Its loggers are configured later, and its first lines are its own."""
    from eco2_tracing._run.set_up import set_logging_up, set_reloader_up

    is_command = os.environ.pop(_PROCESS, None) == str(os.getpid())
    if not (is_command and module.__name__ == "uvicorn" and set_reloader_up()):
        set_logging_up()


def _fastapi_imported(_module: ModuleType) -> None:
    from eco2_tracing._run.set_up import set_libraries_up

    set_libraries_up()


def _applications_imported(module: ModuleType) -> None:
    from eco2_tracing._run.applications import watch

    watch(module.FastAPI)


def _library_imported(_module: ModuleType) -> None:
    from eco2_tracing._run.set_up import set_all_up

    if _PROCESS in os.environ:
        set_all_up()
