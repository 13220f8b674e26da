"""The status code that a database answered with, by the driver's exception."""

from __future__ import annotations

from eco2_tracing._guard import attempt_silently

STATUS_CODE = "db.response.status_code"
_LONGEST = 64
# The attribute of a driver's exceptions with the code, by the driver's package. Its own name is `args` if the code is
# the first argument.
_CODES = {
    "asyncpg": "sqlstate",
    "psycopg": "sqlstate",
    "psycopg2": "pgcode",
    "mysql": "errno",
    "pymysql": "args",
    "redis": "status_code",
    "pymongo": "code",
}


def status_code_of(exception: BaseException | None) -> str | None:
    """Return the code of a driver's exception, or of its cause, as text; ``None`` if it has none.

    It is the SQLSTATE of PostgreSQL, the error number of MySQL, the prefix of an error of Redis or the number of
    MongoDB.
    """
    if exception is None:
        return None
    return attempt_silently(_code_of, exception, default=None) or attempt_silently(
        _code_of, exception.__cause__, default=None
    )


def _code_of(exception: BaseException | None) -> str | None:
    name = _CODES.get(type(exception).__module__.partition(".")[0])
    if name is None:
        return None
    code = getattr(exception, name, None)
    if name == "args" and code:
        code = code[0]
    elif name == "status_code" and code is None:
        first = str(exception).partition(" ")[0]  # redis reports it apart for some errors alone
        code = first if first.isupper() else None
    if type(code) is int and code > 0:
        return str(code)
    return code if type(code) is str and 0 < len(code) <= _LONGEST else None
