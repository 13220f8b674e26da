"""Headers and the context that is extracted from them: one row for each case."""

from __future__ import annotations

from dataclasses import dataclass

# Two traces with a span each; the id shows which context was used.
T1, S1 = "463ac35c9f6413ad48485a3953bb6124", "a2fb4a1d1a96d312"
T2, S2 = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
T64 = "48485a3953bb6124"
PADDED = "0" * 16 + T64
NO_TRACE, NO_SPAN = "0" * 32, "0" * 16

B3_FIRST = ("b3", "tracecontext", "baggage")
W3C_FIRST = ("tracecontext", "b3", "baggage")

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Result:
    """The expected context: ids as hexadecimal digits, the rest as in `Inbound`."""

    trace: str = NO_TRACE
    span: str = NO_SPAN
    sampled: bool | None = None
    debug: bool = False
    denied: bool = False
    random: bool = False
    state: str = ""
    baggage: tuple[tuple[str, str], ...] = ()
    request_id: str | None = None


@dataclass(frozen=True)
class Vector:
    """One case."""

    name: str
    headers: Headers
    expected: Result | None
    names: tuple[str, ...] = B3_FIRST
    trust: bool = True


def multi(trace: str = T1, span: str = S1, sampled: str | None = None, flags: str | None = None) -> Headers:
    """The X-B3-* headers."""
    headers = [("x-b3-traceid", trace), ("x-b3-spanid", span)]
    headers += [("x-b3-sampled", sampled)] if sampled is not None else []
    headers += [("x-b3-flags", flags)] if flags is not None else []
    return headers


def single(value: str) -> Headers:
    """The b3 header."""
    return [("b3", value)]


def w3c(trace: str = T2, span: str = S2, flags: str = "01", state: str | None = None) -> Headers:
    """The traceparent header, version 00, and a tracestate."""
    headers = [("traceparent", f"00-{trace}-{span}-{flags}")]
    return headers + ([("tracestate", state)] if state is not None else [])


def parent(value: str) -> Headers:
    """A traceparent header as it is."""
    return [("traceparent", value)]


def state(*values: str) -> Headers:
    """A traceparent with tracestate headers."""
    return w3c() + [("tracestate", value) for value in values]


def many(count: int) -> str:
    """A list of this many members."""
    return ",".join(f"k{index}=1" for index in range(count))


def with_state(expected: str) -> Result:
    """The expected result for `state`."""
    return Result(T2, S2, True, state=expected)


YES, NO = Result(T1, S1, True), Result(T1, S1, False)
DEFERRED = Result(T1, S1, None)
DEBUG = Result(T1, S1, True, debug=True)
W3C_YES, W3C_NO = Result(T2, S2, True), Result(T2, S2, False)
DENY = Result(sampled=False, denied=True)
ACCEPT = Result(sampled=True)

FAMILIES: dict[str, list[Vector]] = {
    "b3-multi": [
        Vector("sampled", multi(sampled="1"), YES),
        Vector("unsampled", multi(sampled="0"), NO),
        Vector("with a parent", [*multi(sampled="1"), ("x-b3-parentspanid", S2)], YES),
        Vector("true", multi(sampled="true"), YES),
        Vector("True", multi(sampled="True"), YES),
        Vector("false", multi(sampled="false"), NO),
        Vector("spaces around", multi(f" {T1}", f"{S1}\t", " 1 "), YES),
        Vector("under its other name", multi(sampled="1"), YES, names=("b3multi",)),
        Vector("not listed", multi(sampled="1"), None, names=("tracecontext", "baggage")),
        Vector("none at all", [("host", "auth-api")], None),
        Vector("none listed", multi(sampled="1"), None, names=("none",)),
    ],
    "b3-single": [
        Vector("sampled", single(f"{T1}-{S1}-1"), YES),
        Vector("unsampled", single(f"{T1}-{S1}-0"), NO),
        Vector("with a parent", single(f"{T1}-{S1}-1-{S2}"), YES),
        Vector("words", single(f"{T1}-{S1}-false"), NO),
        Vector("under the other name", single(f"{T1}-{S1}-1"), YES, names=("b3multi",)),
    ],
    "w3c": [
        Vector("sampled", w3c(), W3C_YES),
        Vector("unsampled", w3c(flags="00"), W3C_NO),
        Vector("random", w3c(flags="03"), Result(T2, S2, True, random=True)),
        Vector("unknown flags are dropped", w3c(flags="fc"), W3C_NO),
        Vector("not listed", w3c(), None, names=("b3",)),
        Vector("version cc", parent(f"cc-{T2}-{S2}-01"), W3C_YES),
        Vector("version cc, longer", parent(f"cc-{T2}-{S2}-01-what-the-future"), W3C_YES),
        Vector("spaces around", parent(f" 00-{T2}-{S2}-01\t"), W3C_YES),
        Vector("spaces around, version cc", parent(f" cc-{T2}-{S2}-01-x "), W3C_YES),
    ],
    "agreeing": [
        Vector("b3 first", multi(sampled="1") + w3c(T1, S1), YES),
        Vector("w3c first", multi(sampled="1") + w3c(T1, S1), YES, names=W3C_FIRST),
        Vector("b3 forms", multi(sampled="0") + single(f"{T1}-{S1}-0"), NO),
        Vector("all three", multi(sampled="1") + single(f"{T1}-{S1}-1") + w3c(T1, S1), YES),
        Vector(
            "same trace, another span: the first form's span",
            multi(sampled="1") + w3c(T1, S2, "00", "a=1"),
            Result(T1, S1, True, state="a=1"),
        ),
        Vector(
            "same trace, another span, w3c first",
            multi(sampled="1") + w3c(T1, S2, "00"),
            Result(T1, S2, False),
            names=W3C_FIRST,
        ),
        Vector(
            "a later random flag is the trace's",
            multi(sampled="1") + w3c(T1, S1, "02"),
            Result(T1, S1, True, random=True),
        ),
    ],
    "disagreeing": [
        Vector("b3 first", multi(sampled="0") + w3c(), NO),
        Vector("b3 first, single", single(f"{T1}-{S1}-0") + w3c(), NO),
        Vector("b3 first, w3c header first", w3c() + multi(sampled="0"), NO),
        Vector("w3c first", multi(sampled="0") + w3c(), W3C_YES, names=W3C_FIRST),
        Vector("w3c first, single", single(f"{T1}-{S1}-0") + w3c(), W3C_YES, names=W3C_FIRST),
        Vector("b3 forms: multi wins", single(f"{T2}-{S2}-1") + multi(sampled="0"), NO),
        Vector("another trace adds no tracestate", multi(sampled="0") + w3c(state="a=1"), NO),
        Vector("another trace adds no random flag", multi(sampled="0") + w3c(flags="03"), NO),
    ],
    "invalid": [
        Vector("zero trace id", multi(NO_TRACE, S1, "1"), None),
        Vector("zero span id", multi(T1, NO_SPAN, "1"), None),
        Vector("not hexadecimal", multi("x" * 32, S1, "1"), None),
        Vector("underscores", multi("1_" * 16, S1, "1"), None),
        Vector("a sign", multi("+" + T1[1:], S1, "1"), None),
        Vector("a prefix", multi("0x" + T1[2:], S1, "1"), None),
        Vector("span id not hexadecimal", multi(T1, "z" * 16, "1"), None),
        Vector("a span id alone", [("x-b3-spanid", S1), ("x-b3-sampled", "1")], None),
        Vector("a trace id alone", [("x-b3-traceid", T1), ("x-b3-sampled", "0")], None),
        Vector("an unknown decision counts as none", multi(sampled="maybe"), DEFERRED),
        Vector("an empty decision counts as none", multi(sampled=""), DEFERRED),
        Vector("the single form's debug counts as none", multi(sampled="d"), DEFERRED),
        Vector("an unknown decision alone", [("x-b3-sampled", "maybe")], None),
        Vector("zero b3 does not erase w3c", multi(NO_TRACE, NO_SPAN, "0") + w3c(), W3C_YES),
        Vector("bad single does not erase multi", single("junk") + multi(sampled="1"), YES),
        Vector("bad multi does not erase single", multi("junk") + single(f"{T1}-{S1}-1"), YES),
        Vector("bad w3c does not erase b3", parent("junk") + multi(sampled="1"), YES, W3C_FIRST),
        Vector("single, zero ids", single(f"{NO_TRACE}-{NO_SPAN}-1"), None),
        Vector("single, unknown decision", single(f"{T1}-{S1}-x"), None),
        Vector("single, five parts", single(f"{T1}-{S1}-1-{S2}-1"), None),
        Vector("single, bad parent", single(f"{T1}-{S1}-1-{'z' * 16}"), None),
        Vector("w3c, version ff", parent(f"ff-{T2}-{S2}-01"), None),
        Vector("w3c, version 00 is 55 characters", parent(f"00-{T2}-{S2}-01-x"), None),
        Vector("w3c, later version without a dash", parent(f"cc-{T2}-{S2}-01.x"), None),
        Vector("w3c, zero trace id", w3c(NO_TRACE), None),
        Vector("w3c, zero span id", w3c(T2, NO_SPAN), None),
        Vector("w3c, dashes elsewhere", parent(f"00{T2[:2]}-{T2[2:]}-{S2}-1"), None),
        Vector("w3c, flags not hexadecimal", w3c(flags="0x"), None),
        Vector("w3c, an underscore", w3c(T2[:-1] + "_"), None),
        Vector("w3c, empty", parent(""), None),
    ],
    "duplicate": [
        Vector("traceparent twice", w3c() + w3c(T1, S1), None),
        Vector("traceparent twice, equal", w3c() + w3c(), None),
        Vector("traceparent three times", w3c() + w3c() + w3c(), None),
        Vector("traceparent twice beside b3", w3c() + w3c() + multi(sampled="1"), YES, W3C_FIRST),
        Vector("X-B3-*: the first ones", multi(sampled="1") + multi(T2, S2, "0"), YES),
        Vector("b3: the first one", single(f"{T1}-{S1}-1") + single(f"{T2}-{S2}-0"), YES),
    ],
    "truncated": [
        Vector("trace id", multi(T1[:-1], S1, "1"), None),
        Vector("trace id to 24", multi(T1[:24], S1, "1"), None),
        Vector("span id", multi(T1, S1[:-1], "1"), None),
        Vector("span id too long", multi(T1, S1 + "0", "1"), None),
        Vector("single, in the span id", single(f"{T1}-{S1[:-1]}"), None),
        Vector("single, before the decision", single(f"{T1}-{S1}-"), None),
        Vector("single, in the parent", single(f"{T1}-{S1}-1-{S2[:-1]}"), None),
        Vector("single, a trace id alone", single(T1), None),
        Vector("single, empty", single(""), None),
        Vector("w3c", parent(f"00-{T2}-{S2}-0"), None),
        Vector("w3c, no flags", parent(f"00-{T2}-{S2}"), None),
        Vector("w3c, later version", parent(f"cc-{T2}-{S2}-"), None),
    ],
    "upper-case": [
        Vector("multi", multi(T1.upper(), S1.upper(), "1"), YES),
        Vector("single", single(f"{T1.upper()}-{S1.upper()}-1"), YES),
        Vector("multi agrees with w3c", multi(T1.upper(), S1) + w3c(T1, S1), YES),
        Vector("w3c is lower case only", parent(f"00-{T2.upper()}-{S2}-01"), None),
        Vector("w3c, the version", parent(f"CC-{T2}-{S2}-01"), None),
        Vector("w3c, the flags", w3c(flags="0A"), None),
    ],
    "64-bit": [
        Vector("multi", multi(T64, S1, "1"), Result(PADDED, S1, True)),
        Vector("single", single(f"{T64}-{S1}-1"), Result(PADDED, S1, True)),
        Vector("already padded", multi(PADDED, S1, "1"), Result(PADDED, S1, True)),
        Vector("agrees with w3c", multi(T64) + w3c(PADDED, S1), Result(PADDED, S1, True)),
        Vector("zero", multi("0" * 16, S1, "1"), None),
    ],
    "deferred": [
        Vector("multi", multi(), DEFERRED),
        Vector("single", single(f"{T1}-{S1}"), DEFERRED),
        Vector("decided by the single form", multi() + single(f"{T1}-{S1}-1"), YES),
        Vector("decided by w3c", multi() + w3c(T1, S2, "01"), YES),
        Vector("denied by w3c", multi() + w3c(T1, S2, "00"), NO),
        Vector("not decided by another trace", multi() + w3c(), DEFERRED),
        Vector("not decided by a bare accept", multi() + single("1"), DEFERRED),
        Vector("denied by a bare deny", multi() + single("0"), Result(T1, S1, False, denied=True)),
    ],
    "deny": [
        Vector("multi, bare", [("x-b3-sampled", "0")], DENY),
        Vector("multi, bare, false", [("x-b3-sampled", "false")], DENY),
        Vector("single, bare", single("0"), DENY),
        Vector("multi, empty ids are absent", multi("", "", "0"), DENY),
        Vector("bare before w3c", [("x-b3-sampled", "0"), *w3c()], Result(T2, S2, False, denied=True)),
        Vector("bare after w3c", [("x-b3-sampled", "0"), *w3c()], W3C_YES, names=W3C_FIRST),
        Vector(
            "bare before single ids",
            [("x-b3-sampled", "0"), *single(f"{T1}-{S1}-1")],
            Result(T1, S1, False, denied=True),
        ),
        Vector("bare deny before a bare accept", [("x-b3-sampled", "0"), *single("1")], DENY),
        Vector("bare accept before a bare deny", [("x-b3-sampled", "1"), *single("0")], ACCEPT),
        Vector("bare accept", [("x-b3-sampled", "1")], ACCEPT),
        Vector("bare accept, single", single("1"), ACCEPT),
        Vector("bare accept leaves w3c's decision", [*single("1"), *w3c(flags="00")], W3C_NO),
    ],
    "debug": [
        Vector("flags", multi(flags="1"), DEBUG),
        Vector("flags beside sampled", multi(sampled="1", flags="1"), DEBUG),
        Vector("flags beat unsampled", multi(sampled="0", flags="1"), DEBUG),
        Vector("flags 0", multi(sampled="0", flags="0"), NO),
        Vector("flags, not known", multi(flags="true"), DEFERRED),
        Vector("single", single(f"{T1}-{S1}-d"), DEBUG),
        Vector("bare flags", [("x-b3-flags", "1")], Result(sampled=True, debug=True)),
        Vector("bare single", single("d"), Result(sampled=True, debug=True)),
        Vector("of another trace", multi(sampled="0") + single(f"{T2}-{S2}-d"), NO),
    ],
    "tracestate": [
        Vector("one", state("rojo=00f067aa0ba902b7"), with_state("rojo=00f067aa0ba902b7")),
        Vector("order stays", state("z=1,a=2,m=3"), with_state("z=1,a=2,m=3")),
        Vector("several headers", state("b=1", "a=2", "", "c=3"), with_state("b=1,a=2,c=3")),
        Vector("spaces and empty members", state(" a=1 ,, \tb=2,"), with_state("a=1,b=2")),
        Vector("level-2 keys", state("foo@@bar=1,0tenant/x=2,@=3"), with_state("")),
        Vector("level-2 keys that are valid", state("foo@@bar=1,0a/b*c-d_=2"), with_state("foo@@bar=1,0a/b*c-d_=2")),
        Vector("spaces inside a value", state("a=x y"), with_state("a=x y")),
        Vector("a duplicate: the first", state("a=1,b=2,a=3"), with_state("a=1,b=2")),
        Vector("empty", state(""), with_state("")),
        Vector("invalid: the traceparent stays", state("a=1,B=2"), with_state("")),
        Vector("no value", state("a=,b=1"), with_state("")),
        Vector("no equals sign", state("a"), with_state("")),
        Vector("not ascii", state("a=ü"), with_state("")),
        Vector("32 members", state(many(32)), with_state(many(32))),
        Vector("33 members", state(many(33)), with_state("")),
        Vector("a key of 256", state("k" * 256 + "=1"), with_state("k" * 256 + "=1")),
        Vector("a key of 257", state("k" * 257 + "=1"), with_state("")),
        Vector("a value of 257", state("k=" + "v" * 257), with_state("")),
        Vector("longer than any", state(",".join(["k=1"] * 9000)), with_state("")),
        Vector(
            "above 512: large ones go first",
            state("a=1," + "l=" + "x" * 200 + "," + ",".join(f"k{i:02}=" + "v" * 76 for i in range(6)) + ",z=1"),
            with_state("a=1," + ",".join(f"k{i:02}=" + "v" * 76 for i in range(6)) + ",z=1"),
        ),
        Vector(
            "above 512: then from the end",
            state(",".join(f"k{i}=" + "v" * 97 for i in range(6))),
            with_state(",".join(f"k{i}=" + "v" * 97 for i in range(5))),
        ),
        Vector("above 512, alone", state("k" * 256 + "=" + "v" * 256), with_state("")),
        Vector("without a traceparent", [("tracestate", "a=1")], None),
        Vector("added to b3", multi(sampled="0") + w3c(T1, S2, "01", "a=1"), Result(T1, S1, False, state="a=1")),
    ],
    "baggage": [
        Vector("alone", [("baggage", "user=kim")], Result(baggage=(("user", "kim"),))),
        Vector("beside ids", [*multi(sampled="1"), ("baggage", "a=1")], Result(T1, S1, True, baggage=(("a", "1"),))),
        Vector("several headers", [("baggage", "a=1"), ("baggage", "b=2")], Result(baggage=(("a", "1"), ("b", "2")))),
        Vector("the last of a name", [("baggage", "a=1,a=2")], Result(baggage=(("a", "2"),))),
        Vector("decoded as UTF-8", [("baggage", "n=%EA%B9%80%20%2C")], Result(baggage=(("n", "김 ,"),))),
        Vector("a plus is a plus", [("baggage", "n=a+b")], Result(baggage=(("n", "a+b"),))),
        Vector("not UTF-8", [("baggage", "n=%FF")], Result(baggage=(("n", "\ufffd"),))),
        Vector("spaces", [("baggage", " a \t= 1 , b = 2 ;p")], Result(baggage=(("a", "1"), ("b", "2")))),
        Vector("properties", [("baggage", "a=1;p;q=2 ; r = 3")], Result(baggage=(("a", "1"),))),
        Vector("an empty value", [("baggage", "a=")], Result(baggage=(("a", ""),))),
        Vector("malformed members", [("baggage", 'a,=1,b=",c d=1,e=1;@,ok=1')], Result(baggage=(("ok", "1"),))),
        Vector("not ascii", [("baggage", "a=ü,b=1")], Result(baggage=(("b", "1"),))),
        Vector("a member above 4096", [("baggage", "a=" + "x" * 4095 + ",b=1")], Result(baggage=(("b", "1"),))),
        Vector(
            "180 members",
            [("baggage", many(200))],
            Result(baggage=tuple((f"k{i}", "1") for i in range(180))),
        ),
        Vector(
            "8192 bytes",
            [("baggage", ",".join(f"k{i}=" + "x" * 4000 for i in range(3)))],
            Result(baggage=tuple((f"k{i}", "x" * 4000) for i in range(2))),
        ),
        Vector("one member above 8192", [("baggage", "a=" + "x" * 9000)], Result()),
        Vector("not listed", [("baggage", "a=1"), *multi(sampled="1")], YES, names=("b3",)),
    ],
    "request-id": [
        Vector("carried", [("x-request-id", "4f2b-9c")], Result(request_id="4f2b-9c")),
        Vector("the first", [("x-request-id", "a"), ("x-request-id", "b")], Result(request_id="a")),
        Vector("empty", [("x-request-id", "")], None),
        Vector("of 128", [("x-request-id", "x" * 128)], Result(request_id="x" * 128)),
        Vector("of 129", [("x-request-id", "x" * 129)], Result()),
        Vector("a space", [("x-request-id", "a b")], Result()),
        Vector("a control character", [("x-request-id", "a\x1b")], Result()),
        Vector("not ascii", [("x-request-id", "é")], Result()),
        Vector("nothing is propagated", [("x-request-id", "a")], None, names=("none",)),
    ],
    "trust": [
        Vector("ids become a link", multi(sampled="1"), Result(), trust=False),
        Vector("so do w3c's", w3c(state="a=1"), Result(), trust=False),
        Vector("debug is ignored", multi(flags="1"), Result(), trust=False),
        Vector("companions are ignored", [*multi(), ("baggage", "a=1"), ("x-request-id", "r")], Result(), trust=False),
        Vector("a bare deny is ignored", single("0"), None, trust=False),
        Vector("a bare accept is ignored", single("1"), None, trust=False),
        Vector("a bare debug is ignored", [("x-b3-flags", "1")], None, trust=False),
        Vector("companions alone", [("baggage", "a=1"), ("x-request-id", "r")], Result(), trust=False),
    ],
}  # fmt: skip
