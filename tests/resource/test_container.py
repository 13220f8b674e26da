"""`container.id`: the container's own, as each runtime shows it, or none. Never the pod's sandbox."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from eco2_tracing._resource import build_resource

OWN = "c0" * 32
SANDBOX = "5a" * 32
LAYER = "6b1f50d489100ae1318b0836f13655273e471a92367a3f0d95d61d9e828d45f2"
POD = "0f3d1c9e-2222-4d7b-9a33-0123456789ab"
SLICE = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD.replace('-', '_')}.slice"
ROOT = (
    f"659 450 0:183 / / rw - overlay overlay rw,upperdir=/var/lib/docker/overlay2/{LAYER}/diff,workdir=/w\n"
    "660 659 0:185 / /proc rw - proc proc rw\n"
    "664 663 0:31 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
)
KUBELET = (
    f"672 659 254:1 /kubelet/pods/{POD}/etc-hosts /etc/hosts rw - ext4 /dev/vda1 rw\n"
    f"673 661 254:1 /kubelet/pods/{POD}/containers/app/1a2b3c4d /dev/termination-log rw - ext4 /dev/vda1 rw\n"
    "674 659 0:180 / /run/secrets/kubernetes.io/serviceaccount ro - tmpfs tmpfs rw\n"
)


def docker_files(owner: str, folder: str = "/var/lib/docker/containers", files: str = "") -> str:
    """The three files that Docker, Podman and CRI-O mount into a container."""
    return "".join(
        f"67{number} 659 254:1 {folder}/{owner}{files}/{name} /etc/{name} rw - ext4 /dev/vda1 rw\n"
        for number, name in enumerate(("resolv.conf", "hostname", "hosts"))
    )


def own_file(driver: str = "overlay") -> str:
    """The file that Podman and CRI-O mount from the container's own directory."""
    root = f"/containers/storage/{driver}-containers/{OWN}/userdata/.containerenv"
    return f"902 880 0:24 {root} /run/.containerenv rw - tmpfs tmpfs rw\n"


@dataclass
class Settings:
    """The settings that a resource is built from."""

    service_name: str | None = None
    service_version: str | None = None
    environment: str | None = None
    resource_attributes: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def detect(tmp_path):
    """Return the `container.id` that a process with these files and variables would have."""

    def container_id(cgroup="0::/\n", mountinfo="", environ=None):
        (tmp_path / "self").mkdir(exist_ok=True)
        (tmp_path / "self" / "cgroup").write_text(cgroup)
        (tmp_path / "self" / "mountinfo").write_text(ROOT + mountinfo)
        return build_resource(Settings(), environ=environ or {}, proc=tmp_path).attributes.get("container.id")

    return container_id


@pytest.mark.parametrize(
    "path",
    [
        f"/docker/{OWN}",
        f"/{OWN}",
        f"/default/{OWN}",
        f"/system.slice/docker-{OWN}.scope",
        f"/system.slice/nerdctl-{OWN}.scope",
        f"/kubepods/besteffort/pod{POD}/{OWN}",
        f"/kubepods/besteffort/pod{POD}/{OWN}/kube-proxy",
        f"{SLICE}/docker-{OWN}.scope",
        f"{SLICE}/cri-containerd-{OWN}.scope",
        f"{SLICE}/crio-{OWN}.scope",
        f"{SLICE}/crio-{OWN}.scope/container",
        f"/../crio-{OWN}.scope",
        f"/system.slice/containerd.service/kubepods-burstable-pod{POD}.slice:cri-containerd:{OWN}",
        f"/system.slice/docker-{OWN}.scope/init.scope",
        f"/machine.slice/libpod-{OWN}.scope",
        f"/machine.slice/libpod-{OWN}.scope/container",
        f"/machine.slice/machine-libpod_pod_{SANDBOX}.slice/libpod-{OWN}.scope",
        f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{OWN}.scope/container",
        f"/system.slice/app.service/libpod-payload-{OWN}",
        f"/libpod_parent/{SANDBOX}/libpod-{OWN}",
        f"/docker/{SANDBOX}/docker/{OWN}",
        f"/docker/{SANDBOX}/kubelet/kubepods/besteffort/pod{POD}/{OWN}",
        f"/docker/{SANDBOX}/kubelet.slice{SLICE}/cri-containerd-{OWN}.scope",
        f"/ecs/0123456789abcdef0123456789abcdef/{OWN}",
        f"/ecs/cluster/{POD}/{OWN}",
    ],
)
@pytest.mark.parametrize("line", ["0::{}\n", "12:cpuset:/\n11:cpu,cpuacct:{}\n1:name=systemd:{}\n"])
@pytest.mark.parametrize("mounts", ["", KUBELET + docker_files(SANDBOX)], ids=["", "in a pod"])
def test_own_cgroup(detect, path, line, mounts):
    """The innermost id in the process's own cgroup, on both versions, whatever groups lie below it."""
    assert detect(line.replace("{}", path), mounts) == OWN


def test_fargate(detect):
    """The id of a container on Fargate is its task's with a number."""
    task = "0123456789abcdef0123456789abcdef"
    assert detect(f"9:perf_event:/ecs/{task}/{task}-1234567890\n") == f"{task}-1234567890"


@pytest.mark.parametrize(
    "path",
    ["/", "/init.scope", "/user.slice/user-1000.slice/session-2.scope", f"/kubepods/besteffort/pod{POD}",
     f"/machine.slice/machine-libpod_pod_{SANDBOX}.slice", f"/lxc/{OWN[:12]}", f"/x/{OWN}0", f"/x/{OWN.upper()}"],
)  # fmt: skip
def test_other_cgroups(detect, path):
    """A host's process, a pod's own group and other ids give no container id."""
    assert detect(f"1:name=systemd:{path}\n0::{path}\n") is None


@pytest.mark.parametrize(
    "mountinfo",
    [
        docker_files(OWN),
        docker_files(OWN, "/docker/containers"),
        docker_files(OWN, "/srv/rootless/docker/containers"),
        docker_files(OWN, "/var/snap/docker/common/var-lib-docker/containers"),
        docker_files(OWN, "/var/lib/nerdctl/1935db59/containers/default"),
        docker_files(OWN, "/containers/overlay-containers", "/userdata"),
        docker_files(OWN, "/run/user/1000/containers/vfs-containers", "/userdata"),
        own_file(),
        own_file("vfs"),
        # A Podman pod: `hosts` and `resolv.conf` are the infra container's.
        docker_files(SANDBOX, "/containers/overlay-containers", "/userdata") + own_file(),
        docker_files(SANDBOX, "/containers/overlay-containers", "/userdata")
        + own_file().replace("userdata/", "userdata/run/"),
        # CRI-O: all three are the sandbox's.
        docker_files(SANDBOX, "/containers/storage/overlay-containers", "/userdata") + own_file() + KUBELET,
        f"664 663 0:31 {SLICE}/cri-containerd-{OWN}.scope /sys/fs/cgroup ro - cgroup2 cgroup rw\n" + KUBELET,
        f"665 663 0:31 /docker/{OWN} /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
    ],
)
def test_own_mounts(detect, mountinfo):
    """With a cgroup namespace, mounts of the container's own files and cgroup show its id."""
    assert detect(mountinfo=mountinfo) == OWN


@pytest.mark.parametrize(
    "mountinfo",
    [
        docker_files(SANDBOX),
        docker_files(SANDBOX, "/docker/containers"),
        docker_files(SANDBOX, "/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes"),
        docker_files(SANDBOX, "/var/lib/rancher/k3s/agent/containerd/io.containerd.grpc.v1.cri/sandboxes"),
        docker_files(SANDBOX, "/containers/storage/overlay-containers", "/userdata"),
    ],
    ids=["cri-dockerd", "minikube", "containerd", "k3s", "CRI-O"],
)
@pytest.mark.parametrize(
    ("more", "environ"),
    [
        (KUBELET, {}),
        *((line + "\n", {}) for line in KUBELET.splitlines()),
        ("", {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}),
        ("", {"ECS_CONTAINER_METADATA_URI_V4": "http://169.254.170.2/v4/x"}),
        ("", {"NOMAD_ALLOC_ID": POD}),
    ],
)
def test_sandbox_is_no_container(detect, mountinfo, more, environ):
    """Under an orchestrator those files are the sandbox's, whose id is not the container's."""
    assert detect(mountinfo=mountinfo + more, environ=environ) is None


@pytest.mark.parametrize(
    "mountinfo",
    [
        f"50 25 0:4 / /var/lib/docker/containers/{SANDBOX}/mounts/shm rw - tmpfs shm rw\n",
        f"51 25 0:4 net:[4026532281] /run/docker/netns/{SANDBOX} rw - nsfs nsfs rw\n",
        f"52 25 8:1 /var/lib/docker/containers/{SANDBOX}/hostname /mnt/etc/hostname rw - ext4 /dev/sda1 rw\n",
        f"53 25 8:1 /srv/{SANDBOX}/hostname /etc/hostname rw - ext4 /dev/sda1 rw\n",
        f"54 25 0:31 /docker/{SANDBOX} /host/sys/fs/cgroup rw - cgroup2 cgroup rw\n",
        "55 25\n\n- \n",
    ],
)
def test_mounts_of_others(detect, mountinfo):
    """Mounts that a host or a privileged container sees of other containers are not its own."""
    assert detect(mountinfo=mountinfo) is None


def test_podman_inside_of_docker(detect):
    """Without a cgroup of its own the inner container is known by its file."""
    assert detect(f"0::/docker/{SANDBOX}\n", own_file()) == OWN


def test_no_proc(tmp_path):
    """Without procfs there is no container id and no error."""
    assert "container.id" not in build_resource(Settings(), environ={}, proc=tmp_path).attributes
