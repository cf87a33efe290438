"""What a published image was made of: the commit and the inputs that its provenance names."""

from __future__ import annotations

import contextlib
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from assay.catalog.inputs import sha256
from assay.catalog.platforms import AMD64
from assay.errors import UsageError, VerificationFailed
from assay.host import process

SECONDS = 120  # for git


_Commit = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?\Z")]


@dataclass(frozen=True)
class Source:
    """What an image was made of: its name, a commit, and the hashes of the inputs by their path in the repository."""

    image: str
    commit: str
    inputs: dict[str, str]
    platform: str = AMD64.name
    caches: tuple[str, ...] = ()  # the registries whose build caches the published one may have layers from


class _Material(msgspec.Struct, frozen=True):
    name: str
    digest: dict[str, str]


class _External(msgspec.Struct, frozen=True):
    image: Annotated[str, msgspec.Meta(max_length=256)]
    platform: Annotated[str, msgspec.Meta(max_length=64)] = AMD64.name


class _Internal(msgspec.Struct, frozen=True):
    caches: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=256)], ...], msgspec.Meta(max_length=64)] = ()


class _Definition(msgspec.Struct, frozen=True, rename="camel"):
    external_parameters: _External
    resolved_dependencies: Annotated[tuple[_Material, ...], msgspec.Meta(max_length=4096)]
    internal_parameters: _Internal = _Internal()


class _Provenance(msgspec.Struct, frozen=True, rename="camel"):
    build_definition: _Definition


def source_of(statement: dict[str, Any]) -> Source:
    """What the provenance names. Raises `VerificationFailed` where that is no commit of a repository."""
    try:
        made = msgspec.convert(statement["predicate"], type=_Provenance).build_definition
        commits = [one.digest["gitCommit"] for one in made.resolved_dependencies if "gitCommit" in one.digest]
        commit = msgspec.convert(commits[0], type=_Commit) if commits else None
    except (msgspec.ValidationError, KeyError, RecursionError) as error:
        raise VerificationFailed(f"the provenance is malformed: {error}", "Ask whoever publishes it.") from None
    if commit is None:
        raise VerificationFailed(
            "the provenance names no commit: it was built in a checkout with changes of its own",
            "Ask whoever publishes it to build and publish from a commit.",
        )
    inputs = {
        one.name: one.digest["sha256"]
        for one in made.resolved_dependencies
        if "sha256" in one.digest and one.name.startswith("images/")
    }
    asked = made.external_parameters
    return Source(asked.image, commit, inputs, asked.platform, made.internal_parameters.caches)


@contextlib.contextmanager
def exported(root: Path, commit: str) -> Iterator[Path]:
    """The tree of a commit, in a folder of its own; the checkout stays as it is."""
    with tempfile.TemporaryDirectory(prefix="assay-rebuild-") as name:
        archive, tree = Path(name, "tree.tar"), Path(name, "tree")
        argv = ["git", "-C", str(root), "archive", "--format=tar", f"--output={archive}", commit]
        done = process.run(argv, timeout=SECONDS)
        if done.returncode != 0:
            raise UsageError(
                f"the commit {commit[:12]} cannot be had from {root}: {done.last_line()}",
                "Fetch it: git fetch origin COMMIT; a shallow clone lacks it.",
            )
        with tarfile.open(archive) as members:
            members.extractall(tree, filter="data")
        (tree / "build").mkdir(exist_ok=True)
        yield tree


def check_inputs(source: Source, tree: Path) -> None:
    """Raise `VerificationFailed` unless the commit has the inputs that the provenance names."""
    if not source.inputs:
        raise VerificationFailed("the provenance names no inputs", "Ask whoever publishes it.")
    for name, wanted in source.inputs.items():
        path = tree / name
        inside = path.resolve().is_relative_to(tree.resolve())
        have = sha256(path) if inside and path.is_file() else "nothing"
        if have != wanted:
            raise VerificationFailed(
                f"{name[:200]} is {have[:12]} at {source.commit[:12]}, and the provenance says {wanted[:12]}",
                "The provenance and the commit do not belong together.",
            )
