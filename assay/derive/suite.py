"""The suite that a derived image is checked by: its base's own, out of the base's layers."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from assay.certificate import Certificate, suite_files
from assay.derive.layers import Tree
from assay.errors import AssayError, VerificationFailed

PLACE = "opt/assay/"
PROGRAMS = "opt/assay/bin/"


@contextlib.contextmanager
def suite_of(base: Certificate, below: Tree) -> Iterator[Path]:
    """A folder that can stand for /opt/assay: what the base has there, whatever the derived image has.

    Raises `VerificationFailed` where that is not the suite which made the base's certificate.
    """
    with tempfile.TemporaryDirectory(prefix="assay-suite-") as top:
        folder = Path(top) / "assay"
        folder.mkdir()
        for path, (kind, digest) in below.files.items():
            if path.startswith(PLACE) and kind == "file":
                program = path.startswith(PROGRAMS)
                _write(folder / path.removeprefix(PLACE), below.data.get(path, b""), digest, program=program)
        for each in (folder, *folder.rglob("*")):
            if each.is_dir():
                each.chmod(0o755)  # whatever the umask is: the container's user is another one
        _require(base, folder / "smoke")
        yield folder


def _write(path: Path, data: bytes, digest: str, *, program: bool) -> None:
    if hashlib.sha256(data).hexdigest() != digest:
        raise VerificationFailed(f"the base's {path.name} is too large to be a part of the suite", "Do not use it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o755 if program else 0o644)


def _require(base: Certificate, folder: Path) -> None:
    try:
        found = suite_files.digest(folder, base.report.plan["framework"]["name"])
    except (AssayError, KeyError, TypeError):
        found = ""
    if found != base.report.suite.sha256:
        raise VerificationFailed(
            f"the suite in {base.image} is not the one that its certificate is by", "Certify the base again."
        )
