"""The kit's Jaeger for production, on a real OpenSearch: collector and query server with their own configurations."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import yaml

from eco2_tracing import configure_tracing, current_trace_id, flush_tracing, span
from eco2_tracing._cli.processes import Child
from tests.support.jaeger import PORTS
from tests.support.jaeger_client import at_host, is_ready, wait_for, wait_for_trace
from tests.support.kit import KIT, program
from tests.support.namespaces import NODE, PodNetwork, inside
from tests.support.servers import free_port

HERE = Path(__file__).parent / "opensearch"
PRODUCTION = KIT / "jaeger" / "production"
_JAVA = ("-Xms256m", "-Xmx512m", "-XX:TieredStopAtLevel=1")


@pytest.fixture(scope="module")
def opensearch(tmp_path_factory):
    """The URL of an empty OpenSearch, whose jars Maven has or fetches."""
    if not inside():
        pytest.skip("nox -s kit runs Jaeger on OpenSearch")
    java, home = program("java", "Java 17"), tmp_path_factory.mktemp("opensearch")
    path, ports = home / "classpath", (str(free_port()), str(free_port()))
    goal = ["dependency:build-classpath", f"-Dmdep.outputFile={path}"]
    command = [program("mvn", "Maven"), "-q", "-B", "--offline", "-f", str(HERE / "pom.xml"), *goal]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"Maven does not have OpenSearch: mvn -f {HERE.name}/pom.xml dependency:build-classpath")
    arguments = [str(HERE / "OpenSearchNode.java"), str(home), *ports, NODE]
    url = f"http://{NODE}:{ports[0]}"
    with Child("opensearch", [java, *_JAVA, "-cp", path.read_text(), *arguments], os.environ, grace_s=2.0):
        wait_for(lambda: answers(url), 90.0)
        yield url


def answers(url):
    """Whether a server answers with success."""
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def configuration(name, url, folder):
    """A configuration of the kit on another address: without TLS and password, and with a soon decision."""
    text = (PRODUCTION / name).read_text().replace("/etc/jaeger-ui", str(KIT / "jaeger" / "ui"))
    config = yaml.safe_load(text)
    for backend in config["extensions"]["jaeger_storage"]["backends"].values():
        if store := backend.get("elasticsearch"):  # the rates of adaptive sampling are in memory
            store["server_urls"] = [url]
            del store["auth"], store["tls"]
    if "tail_sampling" in config.get("processors", {}):
        config["processors"]["tail_sampling"]["decision_wait"] = "1s"
    path = folder / name
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module")
def jaegers(opensearch, tmp_path_factory):
    """The collector, and the query server."""
    jaeger, folder, made = program("jaeger", "Jaeger 2.20"), tmp_path_factory.mktemp("jaeger"), []
    with ExitStack() as stack:
        for name in ("collector-config.yaml", "query-config.yaml"):
            network, path = PodNetwork.create(), configuration(name, opensearch, folder)
            process = Child(name, network.command([jaeger, f"--config={path}"]), os.environ, grace_s=3.0)
            stack.enter_context(process)
            made.append(at_host(network.address, PORTS, None))
            found = process.wait_for_line("Everything is ready|does not support sampling store", 60.0)
            if "sampling" in found.group():
                pytest.skip("this Jaeger cannot hold sampling rates on Elasticsearch: use 2.20")
            wait_for(lambda: is_ready(made[-1]))
        yield made


def send(collector):
    """Send a sound and a failed trace; return their ids."""
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.otlp_grpc
    assert configure_tracing(service_name="auth-api")
    with span("sound"):
        sound = current_trace_id()
    with pytest.raises(LookupError), span("failed"):
        failed = current_trace_id()
        raise LookupError
    assert flush_tracing()
    return sound, failed


def test_week_and_month(opensearch, jaegers, monkeypatch):
    """The query server finds both traces; the indices that are kept for 30 days have the failed one alone."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    collector, query = jaegers
    sound, failed = send(collector)
    for trace_id in (sound, failed):
        wait_for_trace(query, trace_id, 1)
    day = time.strftime("%Y-%m-%d", time.gmtime())
    assert wait_for(lambda: trace_ids(opensearch, f"eco2-jaeger-span-{day}")) == {sound, failed}
    assert wait_for(lambda: trace_ids(opensearch, f"eco2-failures-jaeger-span-{day}")) == {failed}


def trace_ids(url, index):
    """The trace ids of an index; none if it does not exist."""
    httpx.post(f"{url}/{index}/_refresh", trust_env=False)
    answer = httpx.get(f"{url}/{index}/_search?size=100", trust_env=False)
    return {one["_source"]["traceID"] for one in answer.json().get("hits", {}).get("hits", ())}
