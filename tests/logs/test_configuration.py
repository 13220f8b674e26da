"""`configure_logging`: one handler, whatever is configured before or after, and its undo."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import sys

import pytest
from uvicorn.config import LOGGING_CONFIG

from eco2_tracing import logs
from eco2_tracing.logs._configure import reassert_logging
from eco2_tracing.logs._shared import set_service
from eco2_tracing.logs._stdout import StdoutHandler

SERVERS = ["uvicorn", "uvicorn.error", "uvicorn.access", "gunicorn.error", "hypercorn.error", "_granian"]


def test_one_handler_on_the_root_logger(out):
    """One handler after any number of calls; plain stream handlers are removed, others stay."""
    other = logging.NullHandler()
    root = logging.getLogger()
    root.addHandler(other)
    logging.basicConfig(force=False)
    root.addHandler(logging.StreamHandler(io.StringIO()))
    logs.configure_logging()
    logs.configure_logging()
    assert [type(handler) for handler in root.handlers] == [logging.NullHandler, StdoutHandler]
    assert isinstance(root.handlers[1], logging.StreamHandler)
    assert root.handlers[1].stream is sys.stdout
    logging.getLogger("a").info("once")
    assert len(out()) == 1


@pytest.mark.parametrize(
    ("level", "number"),
    [(None, 20), ("debug", 10), (" WARNING ", 30), (logging.ERROR, 40), ("15", 15), (0, 0)],
)
def test_levels(level, number):
    """Names in any case, numbers, and INFO unless given."""
    logs.configure_logging(level)
    assert logging.getLogger().level == number


@pytest.mark.parametrize("level", ["loud", True, -1, 1.5, [], ""])
def test_bad_levels(out, level):
    """One warning with the value; INFO is used."""
    logs.configure_logging(level)
    logs.configure_logging(level)
    assert logging.getLogger().level == logging.INFO
    (line,) = out()
    assert line["log.level"] == "warning"
    assert "INFO is used" in line["message"]
    assert str(level) in line["message"]


def test_the_service_is_looked_up_when_a_line_is_written(out, monkeypatch):
    """`set_service` takes precedence over the environment, which does over the argument; in any order."""
    logs.configure_logging()
    logging.getLogger("a").info("m")
    logs.configure_logging(service_name="argument")
    logging.getLogger("a").info("m")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "environment")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=3,deployment.environment.name=dev")
    logs.configure_logging(service_name="argument")
    logging.getLogger("a").info("m")
    set_service("lifecycle", node_name="pod")
    logs.configure_logging(service_name="argument")
    logging.getLogger("a").info("m")
    lines = out()
    assert [line.get("service.name") for line in lines] == [None, "argument", "environment", "lifecycle"]
    assert lines[3]["service.version"] == "3"
    assert lines[3]["service.environment"] == "dev"
    assert lines[3]["service.node.name"] == "pod"


def test_strict_mode_is_for_configure_tracing(out, monkeypatch):
    """Logging is configured nevertheless, so that the error can be logged."""
    monkeypatch.setenv("ECO2_TRACING_STRICT", "true")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "soon")
    logs.configure_logging(service_name="argument")
    logging.getLogger("a").info("m")
    assert out()[0]["service.name"] == "argument"


@pytest.mark.parametrize("first", ["server", "ours"])
@pytest.mark.parametrize("name", SERVERS)
def test_server_loggers_follow(out, name, first):
    """Once each on stdout, whether their handlers came before or after."""
    stream = io.StringIO()
    logger = logging.getLogger(name)

    def set_up() -> None:
        logger.handlers, logger.propagate = [logging.StreamHandler(stream)], False
        logger.setLevel(logging.INFO)

    steps = [set_up, logs.configure_logging]
    for step in steps if first == "server" else reversed(steps):
        step()
    logger.info("a line")
    assert [line["log.logger"] for line in out()] == [name]
    assert stream.getvalue() == ""


def test_uvicorns_own_configuration_after_ours(out):
    """As `uvicorn.run` in a program does."""
    logs.configure_logging()
    logging.config.dictConfig(LOGGING_CONFIG)
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("uvicorn.access").info("three")
    assert len(out()) == 2


def test_reassert_is_for_access_lines_before_any_other(out):
    """It does what the next record of a server logger does; nothing before the configuration."""
    access = logging.getLogger("uvicorn.access")
    reassert_logging()
    assert not access.filters
    logs.configure_logging()
    access.handlers, access.propagate = logging.getLogger("gunicorn.access").handlers, False
    assert not access.hasHandlers()
    reassert_logging()
    assert access.hasHandlers()


def test_access_lines_that_are_off_stay_off(out):
    """Uvicorn's `--no-access-log`, before and after; and gunicorn's access log."""
    access = logging.getLogger("uvicorn.access")
    access.handlers, access.propagate = [], False
    logs.configure_logging()
    access.info("off")
    gunicorn = logging.getLogger("gunicorn.access")
    gunicorn.handlers, gunicorn.propagate = [], False
    gunicorn.info("off")
    logging.getLogger("uvicorn.error").info("on")
    assert [line["message"] for line in out()] == ["on"]


def test_files_of_the_operator_stay(out, tmp_path):
    """A server's log file is written, and stdout too."""
    logger = logging.getLogger("gunicorn.error")
    handler = logging.FileHandler(tmp_path / "log")
    logger.handlers = [handler]
    logs.configure_logging()
    logger.warning("both")
    handler.close()
    assert (tmp_path / "log").read_text() == "both\n"
    assert len(out()) == 1


# From the `alembic.ini` of `alembic init`; `env.py` passes it to `fileConfig`.
ALEMBIC = """
[loggers]
keys = root,alembic
[handlers]
keys = console
[formatters]
keys = generic
[logger_root]
level = WARNING
handlers = console
[logger_alembic]
level = INFO
handlers =
qualname = alembic
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = generic
[formatter_generic]
format = %(message)s
"""


def file_config():
    """Configure as alembic does."""
    logging.config.fileConfig(io.StringIO(ALEMBIC))


def dict_config():
    """Configure without `disable_existing_loggers`, as many programs do."""
    logging.config.dictConfig({"version": 1, "root": {"level": "WARNING"}})


@pytest.fixture
def _enabled():
    """Enable every logger again."""
    yield
    for logger in list(logging.Logger.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            logger.disabled = False


@pytest.mark.usefixtures("_enabled")
@pytest.mark.parametrize("config", [file_config, dict_config])
@pytest.mark.parametrize("times", [1, 2])
def test_loggers_that_a_configuration_disabled(out, capsys, config, times):
    """A second call enables them and restores its handler; loggers disabled one by one stay disabled."""
    logs.configure_logging()
    logging.getLogger("app.off").disabled = True
    for _ in range(times):
        config()
        logging.getLogger("app.later").info("not yet")
        logging.getLogger("uvicorn.error").error("lost")
        logs.configure_logging()
    for name in ("app.off", "app.later", "uvicorn.error", "eco2_tracing", "alembic"):
        logging.getLogger(name).info(name)
    assert [line["message"] for line in out()] == ["app.later", "uvicorn.error", "eco2_tracing", "alembic"]
    assert [type(handler) for handler in logging.getLogger().handlers] == [StdoutHandler]
    assert "app.later" not in capsys.readouterr().err


@pytest.mark.usefixtures("_enabled")
def test_loggers_that_were_disabled_before_the_first_call(out):
    """If all server loggers are disabled, a configuration did it; a single one was disabled on purpose."""
    logging.getLogger("uvicorn.access").disabled = True
    logs.configure_logging()
    logging.getLogger("uvicorn.access").info("off")
    logging.getLogger("app").disabled = True
    logs.configure_logging()
    logging.getLogger("app").info("off")
    logs.reset_logging()
    file_config()
    logs.configure_logging()
    logging.getLogger("uvicorn.error").info("on")
    assert [line["message"] for line in out()] == ["on"]


@pytest.mark.parametrize(
    "options",
    [
        {"echo": True},
        {"echo": "debug"},
        {"echo": True, "logging_name": "orders"},
        {"echo": True, "echo_pool": "debug", "pool_logging_name": "orders"},
    ],
)
@pytest.mark.parametrize("first", ["engine", "ours"])
def test_sqlalchemys_echo(out, capsys, options, first):
    """Each statement is one line, whether the engine was made before or after."""
    sqlalchemy = pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
    known = set(logging.Logger.manager.loggerDict)
    if first == "engine":
        engine = sqlalchemy.create_engine("sqlite://", **options)
        logs.configure_logging()
    else:
        logs.configure_logging()
        engine = sqlalchemy.create_engine("sqlite://", **options)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("select 7"))
    engine.dispose()
    (line,) = [line for line in out() if line["message"].startswith("select")]
    assert line["log.logger"].startswith("sqlalchemy.engine.Engine")
    assert capsys.readouterr().out == ""
    for name in set(logging.Logger.manager.loggerDict) - known:
        logging.getLogger(name).handlers = []


def test_handlers_of_sqlalchemys_loggers_that_are_not_its_echo(out, tmp_path):
    """The handlers of a file, of an application's stream and of a logger that does not propagate stay."""
    logs.configure_logging()
    logger = logging.getLogger("sqlalchemy.engine.Engine")
    stream = io.StringIO()
    logger.handlers = [logging.StreamHandler(stream), logging.NullHandler()]
    logger.warning("both")
    logger.handlers.append(logging.StreamHandler(sys.stdout))
    logger.propagate = False
    before = list(logger.handlers)
    logger.warning("own")
    assert logger.handlers == before
    logger.handlers, logger.propagate = [], True
    assert stream.getvalue() == "both\nown\n"


def test_the_undo():
    """Handlers, levels, propagation and filters are as before."""
    root, access = logging.getLogger(), logging.getLogger("uvicorn.access")
    mine, theirs, later = (
        logging.StreamHandler(io.StringIO()),
        logging.StreamHandler(io.StringIO()),
        logging.NullHandler(),
    )
    root.handlers, access.handlers, access.propagate = [mine], [theirs], False
    root.setLevel(logging.ERROR)
    logs.configure_logging("DEBUG")
    root.addHandler(later)
    logs.reset_logging()
    logs.reset_logging()
    assert root.handlers == [mine, later]
    assert root.level == logging.ERROR
    assert (access.handlers, access.propagate, access.filters) == ([theirs], False, [])
    access.handlers, access.propagate = [], True
    root.setLevel(logging.WARNING)


def test_a_stream_can_be_given():
    """A stream can be assigned, as with any stream handler."""
    handler, stream = StdoutHandler(), io.StringIO()
    handler.setStream(stream)
    handler.handle(logging.makeLogRecord({"msg": "m"}))
    assert handler.stream is stream
    assert json.loads(stream.getvalue())["message"] == "m"
