"""The folder that a cluster's nodes share with the host: a run, and in it a task for each image.

``<shared>/<run>/run.json`` says what was submitted. ``<shared>/<run>/<index>/`` has the image's ``job`` and
``plan.json``, and gets an ``answer.*`` from the node. A task is removed when its answer was read, and a run with its
last task: what is left belongs to jobs that go on, or that nobody has collected yet.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shlex
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from assay.certify import Asked
from assay.errors import UsageError
from assay.host import files
from assay.registry import Reference, address

PROGRAM = Path(__file__).with_name("node.sh")
# What a path may be made of that stands in a batch script's directives, in a shell and in a mount.
_PATH = re.compile(r"[A-Za-z0-9/._+@-]+")


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One image on one device. ``key`` names what is asked of it: the digest and the plan."""

    image: str
    device: str
    digest: str
    key: str


class _Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: int
    job: str
    nonce: str
    tasks: dict[str, Task]


@dataclass(frozen=True)
class Run:
    """What was submitted at once: ``job`` is the engine's name of it; each answer repeats the ``nonce``."""

    folder: Path
    job: str
    nonce: str
    tasks: dict[int, Task]

    def place(self, index: int) -> Path:
        """The folder of a task."""
        return self.folder / str(index)

    def write(self) -> None:
        """Write down what was submitted."""
        told = _Run(1, self.job, self.nonce, {str(index): task for index, task in self.tasks.items()})
        files.replace(self.folder / "run.json", msgspec.json.encode(told))

    def collected(self, index: int) -> None:
        """A task is done with: remove it, and the run after its last one."""
        files.remove(self.place(index))
        if not any(self.place(each).is_dir() for each in self.tasks):
            files.remove(self.folder)


def key_of(asked: Asked) -> str:
    """What tells whether a job that was submitted earlier does what is asked now."""
    told = json.dumps([asked.built.digest, asked.plan], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def prepare(shared: Path, wanted: Iterable[tuple[Asked, str]], *, plain_http: bool) -> Run:
    """Write a run's folder for these images, each by its reference with a digest; nothing is submitted yet.

    Raises `UsageError` for a folder whose name no batch script can hold.
    """
    if not _PATH.fullmatch(str(shared)):
        what = f"{shared}: a batch script cannot name a folder with such letters"
        raise UsageError(what, "Name another that all nodes see: --shared FOLDER.")
    nonce = secrets.token_hex(8)
    folder = shared / f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{nonce}"
    folder.mkdir(mode=0o700, parents=True)
    (folder / "node.sh").write_bytes(PROGRAM.read_bytes())
    run = Run(folder, "", nonce, {})
    for index, (asked, reference) in enumerate(wanted):
        run.tasks[index] = Task(asked.image.name, asked.options.device, asked.built.digest, key_of(asked))
        place = run.place(index)
        place.mkdir()
        (place / "plan.json").write_text(json.dumps(dict(asked.plan)), encoding="utf-8")
        values = {
            "reference": reference,
            "digest": asked.built.digest,
            "device": asked.options.device,
            "plain": str(int(plain_http or is_on_loopback(reference))),
            "nonce": nonce,
        }
        lines = (f"{name}={shlex.quote(value)}\n" for name, value in values.items())
        (place / "job").write_text("".join(lines), encoding="utf-8")
    run.write()
    return run


def is_on_loopback(reference: str) -> bool:
    """Whether a reference names a registry of this machine, which is spoken to without TLS."""
    place = address.parse(f"https://{Reference.parse(reference).host}")
    return place is not None and place.is_loopback


def earlier(shared: Path) -> Iterator[Run]:
    """The runs whose answers were not all collected, the newest first; a folder that says nothing is left alone."""
    for path in sorted(shared.glob("*/run.json"), reverse=True):
        try:
            told = msgspec.json.decode(path.read_bytes(), type=_Run)
            tasks = {int(index): task for index, task in told.tasks.items()}
        except (OSError, ValueError, msgspec.DecodeError):
            continue
        folder = path.parent
        left = {index: task for index, task in tasks.items() if (folder / str(index)).is_dir()}
        yield Run(folder, told.job or _started(folder), told.nonce, left)


def _started(folder: Path) -> str:
    """The job by whose number a node knows a run whose script was submitted by hand; empty before it was started."""
    try:
        found = (folder / "started").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return found if found.isdigit() else ""
