"""What the index has that is newer than a lock's wheels, and which of these were withdrawn since (yanked)."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import uv
from packaging.version import Version

from assay.catalog import Image
from assay.errors import BuildFailed
from assay.host import network, process
from assay.lock import uv as runner
from assay.lock.text import pins_in, target_of

_YANKED = re.compile(r"^warning: `([A-Za-z0-9._-]+)==([^`]+)` is yanked(?: \(reason: \"(.*)\"\))?", re.MULTILINE)


@dataclass(frozen=True)
class Newer:
    """A package of a lock, and the newest wheel of it for the same Python and platform, whatever asks for it."""

    package: str
    was: str
    now: str


@dataclass(frozen=True)
class Yanked:
    """A locked version that its publisher withdrew; ``reason`` is theirs, and may be empty."""

    package: str
    version: str
    reason: str


def newer(image: Image) -> tuple[list[Newer], list[Yanked]]:
    """Return what moved on the index since an image was locked; nothing for one without a lock of wheels.

    Raises `BuildFailed` where the index does not answer.
    """
    if not image.lock:
        return [], []
    pins = pins_in(image.lock.read_text("utf-8"))
    found = pins_in(_compiled(image, pins).stdout)
    said = _compiled(image, (f"{name}=={version}" for name, version in pins.items())).stderr
    moved = [
        Newer(name, version, found[name])
        for name, version in sorted(pins.items())
        if name in found and Version(version) < Version(found[name])
    ]
    return moved, [Yanked(name, version, reason) for name, version, reason in sorted(_YANKED.findall(said))]


def _compiled(image: Image, lines: Iterable[str]) -> process.Completed:
    """What uv says of these requirements, each for itself."""
    python, platform = target_of(image)
    with tempfile.TemporaryDirectory(prefix="assay-newer-") as folder:
        Path(folder, "requirements.in").write_text("".join(f"{line}\n" for line in lines), "utf-8")
        argv = [
            *(uv.find_uv_bin(), "pip", "compile", "requirements.in", "--no-deps"),
            *("--python", sys.executable, "--python-version", python, "--python-platform", platform),
            *("--only-binary", ":all:", *(word for name in image.sources for word in ("--no-binary", name))),
            *("--no-config", "--no-header", "--no-annotate", "--no-python-downloads", "--color", "never"),
        ]
        done = process.run(argv, env=network.uv_environment(), cwd=Path(folder), timeout=600)
    if done.returncode != 0:
        failed = runner.failure(image.name, done)
        raise BuildFailed(
            failed.what, "See to the network, and to the index that the configuration of uv or pip names."
        )
    return done
