"""ECS lines by configuration alone, for `uvicorn --log-config`."""

from __future__ import annotations

from typing import Any


def uvicorn_log_config() -> dict[str, Any]:
    """Return a logging configuration for uvicorn's `--log-config` or `log_config=`.

    It can be written as JSON. With it the lines before the application's import are ECS too.

    Returns:
        A dictionary for `logging.config.dictConfig`: root and uvicorn's loggers, on stdout.
    """
    formatter = {"()": "eco2_tracing.logs.EcsFormatter"}
    handler = {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "default"}
    follows = {"handlers": [], "level": "INFO", "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        # uvicorn looks for both names when `--use-colors` is given.
        "formatters": {"default": formatter, "access": dict(formatter)},
        "handlers": {"default": handler},
        "root": {"handlers": ["default"], "level": "INFO"},
        "loggers": {name: dict(follows) for name in ("uvicorn", "uvicorn.error", "uvicorn.access")},
    }
