"""Network namespaces: one for a whole test run, the node, and in it one for each Pod.

``python -m tests.support.namespaces tests/istiod`` runs pytest in a network and mount namespace of its own, so that
nothing on the machine changes. Pods have addresses of their own, so that they use the ports of their manifests. Their
packets are routed by the node, which translates the addresses of Services as kube-proxy does. In a Pod with a sidecar,
connections are redirected to the sidecar, as Istio's init container does. Linux, `ip` (iproute2) and `nft` (nftables)
are needed, and root or user namespaces with subordinate ids (`newuidmap`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NoReturn

MARK = "ECO2_TEST_NAMESPACE"
HOSTS = Path("/run/hosts")
NODE, PODS, SERVICES = "10.244.0.1", "10.244.0", "10.96.0.0/16"
INBOUND, OUTBOUND = 15006, 15001
# Ports of the proxy itself, which are not redirected: its administration and its health.
OWN = "15000, 15020, 15021, 15090"
# The group of the proxy, whose connections are not redirected.
PROXY_GROUP = 1337
Address = tuple[str, int]


def missing() -> str | None:
    """Why namespaces are not available; `None` if they are."""
    packages = {"ip": "iproute2", "nft": "nftables", "unshare": "util-linux", "setpriv": "util-linux"}
    absent = [
        f"{name} (Debian: {package})" for name, package in packages.items() if shutil.which(name) is None
    ]
    if absent:
        return f"put on PATH: {', '.join(absent)}"
    done = subprocess.run([*_unshare(), "true"], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"no namespaces here: {done.stderr.strip()}"


def _unshare() -> list[str]:
    users = [] if os.geteuid() == 0 else ["--map-root-user", "--map-auto"]
    return ["unshare", "--net", "--mount", *users]


def inside() -> bool:
    """Whether this process runs in the namespaces of :func:`main`."""
    return MARK in os.environ


def prepare() -> None:
    """Set up the node: loopback, routing, and a hosts file that can be written."""
    _run("mount", "-t", "tmpfs", "tmpfs", "/run")
    HOSTS.write_text("127.0.0.1 localhost\n")
    _run("mount", "--bind", str(HOSTS), "/etc/hosts")
    # No name server: names of external systems are refused at once.
    resolver = Path("/run/resolver")
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    _run("mount", "--bind", str(resolver), "/etc/resolv.conf")
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "address", "add", f"{NODE}/32", "dev", "lo")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    translate({})


def resolve(names: Mapping[str, str]) -> None:
    """Add names and their addresses to the hosts file of every process of the run."""
    with HOSTS.open("a") as file:
        file.writelines(f"{address} {name}\n" for name, address in names.items())


def translate(services: Mapping[Address, Address]) -> None:
    """Replace the translations of Services' addresses and ports to those of Pods."""
    pairs = ", ".join(f"{a} . {p} : {b} . {q}" for (a, p), (b, q) in services.items())
    rules = [f"dnat ip to ip daddr . tcp dport map {{ {pairs} }}"] if pairs else []
    _replace("services", {"prerouting": ("type nat hook prerouting priority dstnat;", rules)})


def restrict(egress: Sequence[str], ingress: Sequence[str]) -> None:
    """Replace the rules for packets from Pod to Pod, as `nft` writes them; both chains must accept a packet."""
    hook = "type filter hook forward priority"
    _replace("policies", {"egress": (f"{hook} 0;", egress), "ingress": (f"{hook} 10;", ingress)})


def _replace(table: str, chains: Mapping[str, tuple[str, Sequence[str]]]) -> None:
    text = "\n".join(
        f"chain {name} {{\n{hook}\n{chr(10).join(rules)}\n}}" for name, (hook, rules) in chains.items()
    )
    _run(
        "nft",
        "--file",
        "-",
        given=f"table ip {table} {{}}\ndelete table ip {table}\ntable ip {table} {{\n{text}\n}}\n",
    )


_numbers = count(2)


@dataclass(frozen=True)
class PodNetwork:
    """The network namespace of one Pod.

    Attributes:
        name: Of the namespace.
        address: Of the Pod.
    """

    name: str
    address: str

    @classmethod
    def create(cls) -> PodNetwork:
        """A namespace with one interface, whose packets the node routes."""
        number = next(_numbers)
        pod, ours = cls(f"pod{number}", f"{PODS}.{number}"), f"veth{number}"
        _run("ip", "netns", "add", pod.name)
        _run("ip", "link", "add", ours, "type", "veth", "peer", "name", "eth0", "netns", pod.name)
        _run("ip", "link", "set", ours, "up")
        _run("ip", "route", "add", pod.address, "dev", ours)
        for command in (
            ("ip", "link", "set", "lo", "up"),
            ("ip", "address", "add", f"{pod.address}/32", "dev", "eth0"),
            ("ip", "link", "set", "eth0", "up"),
            ("ip", "route", "add", NODE, "dev", "eth0"),
            ("ip", "route", "add", "default", "via", NODE, "dev", "eth0"),
        ):
            _run(*pod.command(command))
        return pod

    def command(self, command: Sequence[str], group: int = 0) -> list[str]:
        """A command line that runs in the Pod."""
        who = ["setpriv", f"--regid={group}", "--clear-groups", "--"] if group else []
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *who, *command]

    def redirect(self) -> None:
        """Redirect what enters the Pod, and what its processes other than the proxy send, to the proxy."""
        rules = f"""
        table ip istio {{
          chain inbound {{
            type nat hook prerouting priority dstnat;
            iifname "lo" return
            tcp dport {{ {OWN} }} return
            ip protocol tcp redirect to :{INBOUND}
          }}
          chain outbound {{
            type nat hook output priority -100;
            meta skgid {PROXY_GROUP} return
            oifname "lo" return
            ip daddr {NODE} return
            ip protocol tcp redirect to :{OUTBOUND}
          }}
        }}
        """
        _run(*self.command(["nft", "--file", "-"]), given=rules)

    def remove(self) -> None:
        """Delete the namespace."""
        _run("ip", "netns", "delete", self.name)


def _run(*command: str, given: str = "") -> None:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}\n{given}")


def main(arguments: list[str]) -> NoReturn:
    """Run pytest in namespaces of its own."""
    if inside():
        prepare()
        os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])
    if (reason := missing()) is not None:
        sys.exit(reason)
    command = [*_unshare(), sys.executable, "-m", "tests.support.namespaces", *arguments]
    os.execvpe("unshare", command, os.environ | {MARK: "1"})


if __name__ == "__main__":
    main(sys.argv[1:])
