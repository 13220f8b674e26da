"""Our lines by configuration, for `uvicorn --log-config`."""

from __future__ import annotations


def uvicorn_log_config(
    *,
    format: str | None = None,  # noqa: A002 - the name of `configure_logging`
) -> dict[str, object]:
    """Return a logging configuration for uvicorn's `--log-config` or `log_config=`.

    It can be written as JSON. With it, lines before the import of the application have the same format.

    Args:
        format: ``json``, ``text`` or ``auto``, which is decided when the configuration is loaded. Default: ``json``.
            ``ECO2_TRACING_LOG_FORMAT`` takes precedence.

    Returns:
        A dictionary for `logging.config.dictConfig`. Root and uvicorn's loggers write to stdout.

    Examples:
        >>> text = json.dumps(uvicorn_log_config())  # for uvicorn app:app --log-config log.json
    """
    formatter = {"()": "eco2_tracing.logs.log_formatter"} | ({} if format is None else {"format": format})
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
