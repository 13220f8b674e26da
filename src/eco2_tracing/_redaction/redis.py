"""Redis commands for `db.query.text`: the keys stay, and `?` replaces each value.

Semantic conventions, Redis: "`HMSET myhash field1 ? field2 ?` would be a suitable value for `db.query.text`". A key is
known by the command. The arguments of all other commands are masked, because they may be passwords or scripts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from eco2_tracing._redaction.kinds import is_opaque
from eco2_tracing._redaction.lazy import lazy

if TYPE_CHECKING:
    import re

_LONGEST_KEY = 256
_LONGEST_TEXT = 1000
_SHORTEST_OPAQUE = 16
_UUID = lazy(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_PART = lazy(r"[^:|/{}@#,;]+")
_PLAIN = lazy(r"[A-Za-z][\w.]{0,31}(?:[ ][\w:.?-]{1,64}){0,8}")
_NAME = lazy(r"[A-Za-z_]\w*(?=:)")

_ONE_KEY = (
    "append bitcount bitfield bitfield_ro bitpos decr decrby dump expire expireat expiretime geoadd geodist geohash "
    "geopos georadius georadiusbymember geosearch get getbit getdel getex getrange getset hdel hexists hexpire "
    "hexpireat hexpiretime hget hgetall hgetdel hgetex hincrby hincrbyfloat hkeys hlen hmget hmset hpersist hpexpire "
    "hpttl hrandfield hscan hset hsetex hsetnx hstrlen httl hvals incr incrby incrbyfloat lindex linsert llen lpop "
    "lpos lpush lpushx lrange lrem lset ltrim persist pexpire pexpireat pexpiretime pfadd psetex pttl restore rpop "
    "rpush rpushx sadd scard set setbit setex setnx setrange sismember smembers smismember sort sort_ro spop "
    "srandmember srem sscan strlen substr ttl type xack xadd xautoclaim xclaim xdel xlen xpending xrange xrevrange "
    "xtrim zadd zcard zcount zincrby zlexcount zmscore zpopmax zpopmin zrandmember zrange zrangebylex zrangebyscore "
    "zrank zrem zremrangebylex zremrangebyrank zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore zrevrank "
    "zscan zscore json.arrappend json.arrlen json.clear json.del json.get json.merge json.numincrby json.set json.type"
)
_TWO_KEYS = "blmove copy geosearchstore lcs lmove rename renamenx rpoplpush smove zrangestore"
_ALL_KEYS = "del exists mget pfcount pfmerge sdiff sdiffstore sinter sinterstore sunion sunionstore touch unlink watch"
# By the command: how many of its first arguments are keys.
_KEYS = {
    **dict.fromkeys(_ONE_KEY.upper().split(), 1),
    **dict.fromkeys(_TWO_KEYS.upper().split(), 2),
    **dict.fromkeys(_ALL_KEYS.upper().split(), _LONGEST_TEXT),
}

_HAS_ONE = frozenset(_ONE_KEY.upper().split())
_PAIRED = frozenset({"MSET", "MSETNX"})
"""The commands whose arguments are keys and values in turn."""
_Argument = TypeVar("_Argument")


def command_text(arguments: Sequence[object]) -> str:
    """Return the text of a command: its name, its keys as they are, and `?` for each value.

    The redactor masks the keys of spans that are exported.
    """
    count = len(arguments)
    if count > 1:
        name, key = arguments[0], arguments[1]
        if name in _HAS_ONE and type(key) is str and len(key) <= _LONGEST_KEY:
            return f"{name} {key}{' ?' * (count - 2)}"[:_LONGEST_TEXT]
        return " ".join([str(name), *_words(str(name), arguments[1:], _shown)])[:_LONGEST_TEXT]
    return str(arguments[0]) if count else ""


def _words(name: str, arguments: Sequence[_Argument], show: Callable[[_Argument], str]) -> list[str]:
    """Return the arguments of a command as words: keys by a function, `?` for each value."""
    command = name.upper()
    if command in _PAIRED:
        return ["?" if at % 2 else show(argument) for at, argument in enumerate(arguments)]
    keys = _KEYS.get(command, 0)
    if not keys:
        return ["?"] * len(arguments)
    return [*map(show, arguments[:keys]), *["?"] * len(arguments[keys:])]


def _shown(key: object) -> str:
    text = key.decode("utf-8", "replace") if type(key) is bytes else key
    return str(text) if type(text) in (str, int) and len(str(text)) <= _LONGEST_KEY else "?"


def mask_commands(text: str) -> str:
    """Return commands, one a line, with `?` for each value and for the parts of keys that look generated."""
    if "\n" in text:
        return "\n".join(map(_masked_command, text.split("\n")))
    return _masked_command(text)


def _masked_command(line: str) -> str:
    name, *arguments = line.split() or [""]
    return " ".join([name, *_words(name, arguments, _masked_key)])


def _masked_key(key: str) -> str:
    """Mask the ids of sessions and tokens in a key."""
    if len(key) < _SHORTEST_OPAQUE:
        return key
    return _PART.sub(_masked_part, _UUID.sub("?", key))


def _masked_part(part: re.Match[str]) -> str:
    return "?" if len(part[0]) >= _SHORTEST_OPAQUE and is_opaque(part[0]) else part[0]


def has_plain_keys(text: str, is_secret: Callable[[str], bool]) -> bool:
    """Return True if masked commands hold only short keys without the name of a secret, so that no search is needed."""
    return _PLAIN.fullmatch(text) is not None and not any(map(is_secret, _NAME.findall(text)))
