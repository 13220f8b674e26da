"""ECS lines by configuration, for `uvicorn --log-config`."""

from __future__ import annotations


def uvicorn_log_config() -> dict[str, object]:
    """Return a logging configuration for uvicorn's `--log-config` or `log_config=`.

    It can be written as JSON. With it, lines before the import of the application are ECS too.

    Returns:
        A dictionary for `logging.config.dictConfig`. Root and uvicorn's loggers write to stdout.
    """
    formatter = {"()": "eco2_tracing.logs.EcsFormatter"}
    handler = {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "default"}
    follows = {"handlers": [], "level": "INFO", "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        # uvicorn changes both formatters when `--use-colors` is given.
        "formatters": {"default": formatter, "access": dict(formatter)},
        "handlers": {"default": handler},
        "root": {"handlers": ["default"], "level": "INFO"},
        "loggers": {name: dict(follows) for name in ("uvicorn", "uvicorn.error", "uvicorn.access")},
    }
