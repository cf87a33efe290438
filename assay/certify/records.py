"""What is known of a certified image besides its certificate: that it passed tests/images, and what of its suite no
certificate depends on.

``certificates/records.jsonl`` has a line for each image. It is no part of what the suite found, and nothing is judged
by it: it says what a committed certificate stands for. A line counts for the image of its digest only, and what it
says of the tests for those very tests only.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from assay import certificate
from assay.catalog import Catalog
from assay.certificate import suite_files
from assay.certificate.origin import about_of
from assay.certificate.statement import report_of
from assay.certify import everyday
from assay.errors import UsageError, VerificationFailed
from assay.host import files

FILE = "certificates/records.jsonl"
MARKS = "build/tested"
TESTS = "tests/images"


class Tested(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole run of tests/images on one image, in which no test failed.

    ``image`` is the manifest digest, ``tests`` the digest of the tests (`tests_digest`), ``date`` a day in UTC.
    ``not_run`` has the reason why a test was left out, by its name.
    """

    image: str
    tests: str
    date: str
    passed: int
    not_run: dict[str, str] = {}

    def __str__(self) -> str:
        left = f", {len(self.not_run)} not run" if self.not_run else ""
        return f"{self.passed} passed{left}, {self.date}"


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One image: the manifest digest that was certified, and what is known of it.

    ``outside`` are the files of the suite that it carries and that its certificate does not depend on, by their hash.
    ``tried`` says how much of what people do every day its certificate shows (`assay.certify.everyday`).
    """

    name: str
    digest: str
    outside: dict[str, str] = {}
    tested: Tested | None = None
    tried: dict[str, int] = {}


def read(root: Path) -> dict[str, Record]:
    """The records of a checkout by image; none yet is empty. Raises `UsageError` for a malformed line."""
    try:
        lines = (root / FILE).read_bytes().splitlines()
        found = [msgspec.json.decode(line, type=Record) for line in lines if line.strip()]
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{FILE} cannot be read: {error}", "Restore it, or make it anew: `assay table --write`."
        ) from None
    return {record.name: record for record in found}


def write(root: Path, records: Mapping[str, Record]) -> None:
    """Write them whole or not at all, a line for each image."""
    lines = (msgspec.json.encode(record, order="deterministic") for _, record in sorted(records.items()))
    files.replace(root / FILE, b"".join(line + b"\n" for line in lines))


def tests_digest(root: Path) -> str:
    """SHA-256 over tests/images: for each file, its path, its length and its content."""
    found = hashlib.sha256()
    folder = root / TESTS
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            content = path.read_bytes()
            found.update(path.relative_to(folder).as_posix().encode() + b"\0%d\0" % len(content) + content)
    return found.hexdigest()


def outside(root: Path, framework: str) -> dict[str, str]:
    """The files that an image carries of the suite and that its certificate does not depend on, by their hash."""
    smoke = root / "smoke"
    return {path.relative_to(smoke).as_posix(): files.sha256(path) for path in suite_files.outside(smoke, framework)}


def mark(root: Path, name: str, digest: str, passed: int, not_run: Mapping[str, str]) -> Path:
    """Write down that an image passed tests/images as they are now; returns the file."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    tested = Tested(digest, tests_digest(root), today, passed, dict(sorted(not_run.items())))
    path = _mark_of(root, name)
    files.replace(path, msgspec.json.format(msgspec.json.encode(tested), indent=1) + b"\n")
    return path


def unmark(root: Path, name: str) -> None:
    """Forget that an image passed."""
    _mark_of(root, name).unlink(missing_ok=True)


def marked(root: Path, name: str, digest: str) -> Tested | None:
    """The mark of an image of this digest by the tests as they are now; None where it has none."""
    try:
        tested = msgspec.json.decode(_mark_of(root, name).read_bytes(), type=Tested)
    except (OSError, msgspec.DecodeError, ValueError, RecursionError):
        return None
    return tested if counts(tested, root, digest) else None


def counts(tested: Tested | None, root: Path, digest: str) -> bool:
    """Whether a mark is of this image, and of the tests as they are now."""
    return tested is not None and tested.image == digest and tested.tests == tests_digest(root)


def keep(cat: Catalog, current: Collection[str], fewer: bool = False) -> dict[str, Record]:
    """Write a line for each certificate that is kept, and drop all others.

    ``current`` are the images that are built as this checkout says; of another one it is not known what it carries.
    Raises `VerificationFailed`, and writes nothing, where a certificate shows less of what people do every day than
    the record says, unless ``fewer``.
    """
    root, before, now, less = cat.root, read(root=cat.root), {}, []
    for image in cat.frameworks():
        statement = certificate.read_statement(root / "certificates" / image.name / "cpu.json")
        if image.framework is None or statement is None:
            continue
        digest = f"sha256:{about_of(statement).subject[0].digest.get('sha256', '')}"
        old, shown = before.get(image.name), everyday.tried(report_of(statement))
        less += [f"{image.name}: {one}" for one in everyday.fewer(old.tried if old else {}, shown)]
        same = old if old and old.digest == digest else Record(image.name, digest)
        carried = outside(root, image.framework.name) if image.name in current else same.outside
        tested = marked(root, image.name, digest) or (same.tested if counts(same.tested, root, digest) else None)
        now[image.name] = Record(image.name, digest, carried, tested, shown)
    if less and not fewer:
        raise VerificationFailed(
            f"less is tried than before: {'; '.join(less)}",
            "Find out what is gone; where it should be: `assay table --write --fewer`.",
        )
    write(root, now)
    return now


def _mark_of(root: Path, name: str) -> Path:
    return root / MARKS / f"{name}.json"
