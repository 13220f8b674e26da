"""A Kubernetes API server with its etcd, as two processes; skipped if a program is absent.

No kubelet and no controller runs: a Deployment makes no Pods, and a Service no EndpointSlices.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from eco2_tracing._cli.processes import Child
from tests.support.jaeger_client import wait_for
from tests.support.namespaces import NODE, SERVICES, inside
from tests.support.servers import free_port

PROGRAMS = {
    "etcd": "etcd 3.6 of its release",
    "kube-apiserver": "kube-apiserver 1.36 of the Kubernetes release",
    "kubectl": "kubectl 1.32 or newer",
}
TOKEN = "test"
START_S = 90.0
# Where programs look for what Kubernetes mounts in a Pod.
SECRETS = Path("/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class ApiServer:
    """A running API server.

    Attributes:
        port: Where it listens, on every address of this host.
        folder: Has `kubeconfig`, which `kubectl`, `istioctl` and istiod read, and the certificate authority `ca.crt`.
    """

    port: int
    folder: Path

    @property
    def kubeconfig(self) -> Path:
        """The file that `kubectl`, `istioctl` and istiod read."""
        return self.folder / "kubeconfig"

    def kubectl(self, *arguments: str, given: object = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl to its end.

        Args:
            arguments: Its command line.
            given: Standard input: text, or documents that are passed as JSON.
        """
        text = given if isinstance(given, str) or given is None else json.dumps(as_list(given))
        return subprocess.run(
            ["kubectl", "--kubeconfig", str(self.kubeconfig), *arguments],
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def apply(self, *arguments: str, given: object = None) -> str:
        """Apply by the server; fail with its message if it refuses."""
        done = self.kubectl("apply", "--server-side", "--force-conflicts", *arguments, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def documents(self, kind: str) -> list[dict[str, Any]]:
        """All objects of a kind, in all namespaces."""
        done = self.kubectl("get", kind, "--all-namespaces", "--output=json")
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout)["items"])

    def inside_a_pod(self, namespace: str, account: str) -> dict[str, str]:
        """Let programs in a Pod reach the server as a service account; return their variables."""
        done = self.kubectl("create", "token", account, f"--namespace={namespace}")
        assert done.returncode == 0, done.stderr
        SECRETS.mkdir(parents=True, exist_ok=True)
        (SECRETS / "token").write_text(done.stdout.strip())
        shutil.copy(self.folder / "ca.crt", SECRETS)
        return {"KUBERNETES_SERVICE_HOST": NODE, "KUBERNETES_SERVICE_PORT": str(self.port)}

    def send(self, method: str, path: str, document: object = None, media: str = "application/json") -> Any:
        """Send one request to the REST API; return the parsed response."""
        answer = self._answer(method, path, document, media)
        assert answer.is_success, answer.text
        return answer.json()

    def is_ready(self) -> bool:
        """Whether it answers, and all its parts are ready."""
        try:
            return bool(self._answer("GET", "/readyz").is_success)
        except httpx.TransportError:
            return False

    def _answer(self, method: str, path: str, document: object = None, media: str = "") -> httpx.Response:
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": media or "application/json"}
        trust = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        with httpx.Client(trust_env=False, timeout=30, verify=trust) as client:
            content = None if document is None else json.dumps(document)
            return client.request(
                method, f"https://127.0.0.1:{self.port}{path}", headers=headers, content=content
            )


def as_list(documents: object) -> object:
    """Documents as one document that kubectl reads."""
    if not isinstance(documents, list):
        return documents
    return {"apiVersion": "v1", "kind": "List", "items": documents}


def namespaces(documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The namespaces that documents need."""
    names = {one["metadata"].get("namespace") for one in documents} - {None, "default"}
    names |= {one["metadata"]["name"] for one in documents if one["kind"] == "Namespace"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for name in sorted(filter(None, names))
    ]


def _key(folder: Path) -> Path:
    """The key that signs the tokens of service accounts."""
    path = folder / "service-accounts.key"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form, plain = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    return path


def _certificates(folder: Path) -> None:
    """Those of the server, for the addresses at which processes and Pods reach it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.crt"))
    issued = authority.issue_cert("127.0.0.1", NODE)
    issued.cert_chain_pems[0].write_to_path(str(folder / "server.crt"))
    issued.private_key_pem.write_to_path(str(folder / "server.key"))


def _kubeconfig(folder: Path, port: int) -> None:
    host = NODE if inside() else "127.0.0.1"
    cluster = {"server": f"https://{host}:{port}", "certificate-authority": str(folder / "ca.crt")}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    (folder / "kubeconfig").write_text(json.dumps(document))


def _etcd(folder: Path, clients: str, peers: str) -> list[str]:
    return [
        "etcd",
        f"--data-dir={folder}/etcd",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _api_server(folder: Path, etcd: str, port: int) -> list[str]:
    key, tokens = _key(folder), folder / "tokens.csv"
    tokens.write_text(f'{TOKEN},admin,admin,"system:masters"\n')
    return [
        "kube-apiserver",
        f"--etcd-servers={etcd}",
        f"--bind-address={'0.0.0.0' if inside() else '127.0.0.1'}",
        f"--advertise-address={NODE}",
        f"--secure-port={port}",
        f"--tls-cert-file={folder}/server.crt",
        f"--tls-private-key-file={folder}/server.key",
        f"--token-auth-file={tokens}",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-cluster-ip-range={SERVICES}",
        # No controller makes service accounts, and no address of the server is published.
        "--disable-admission-plugins=ServiceAccount",
        "--endpoint-reconciler-type=none",
        "--authorization-mode=RBAC",
        "--allow-privileged",
    ]


@contextmanager
def running_api_server() -> Iterator[ApiServer]:
    """A new, empty API server, until the block ends."""
    absent = [what for name, what in PROGRAMS.items() if shutil.which(name) is None]
    if absent:
        pytest.skip(f"put on PATH: {', '.join(absent)}")
    with tempfile.TemporaryDirectory(prefix="eco2-api-") as name, ExitStack() as stack:
        folder, port = Path(name), free_port()
        _certificates(folder)
        _kubeconfig(folder, port)
        clients, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        stack.enter_context(Child("etcd", _etcd(folder, clients, peers), os.environ, grace_s=2.0))
        server = Child("kube-apiserver", _api_server(folder, clients, port), os.environ, grace_s=2.0)
        stack.enter_context(server)
        running = ApiServer(port, folder)
        try:
            wait_for(running.is_ready, START_S)
        except AssertionError:
            print(*server.lines[-20:], sep="\n")
            raise
        yield running
