"""Build a published image again from what its signed provenance says, and compare: anyone can check mark R.

The sources come from the git repository of the checkout that the command runs in, at the commit that the provenance
names; its inputs are held against the provenance's hashes before anything is built. Where the digests differ, the
layers are unpacked side by side, the published one straight from the registry, and each file that differs is named.
"""

from __future__ import annotations

import contextlib
import hashlib
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import IO, Annotated, Any

import msgspec

from assay import build, catalog, verify
from assay.attestations import PROVENANCE
from assay.build import Options, View
from assay.engine import Engine, process
from assay.errors import UsageError, VerificationFailed
from assay.host.tars import Difference, Entry, differences, entries
from assay.images import repository, tag
from assay.registry import LARGEST_CONFIG, OCI_MANIFEST, Descriptor, Manifest, Reference, Repository
from assay.signing import PublicKey

SCHEMA = 1
SUFFIX = "-rebuild"
MOST_NAMED = 100  # of the files that differ
SECONDS = 120  # for git

_Commit = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?\Z")]


@dataclass(frozen=True)
class Source:
    """What an image was made of: its name, a commit, and the hashes of the inputs by their path in the repository."""

    image: str
    commit: str
    inputs: dict[str, str]


@dataclass(frozen=True)
class LayerDifference:
    """A layer that is not the same; of its files the first, and how many there are."""

    number: int
    published: str
    rebuilt: str
    count: int
    files: tuple[Difference, ...]


@dataclass(frozen=True)
class Rebuilt:
    """The published image and the one built again."""

    reference: str
    image: str
    commit: str
    published: str
    rebuilt: str
    layers: tuple[LayerDifference, ...] = ()
    configuration: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether the manifest digests are equal, and with them every bit."""
        return self.published == self.rebuilt


def rebuild(
    root: Path, reference: Reference, key: PublicKey, engine: Engine, view: View, *, plain_http: bool = False
) -> Rebuilt:
    """Build again, without any cache, what a reference names; ``root`` is a checkout whose history has the commit."""
    digest, statements = verify.evidence(reference, key, PROVENANCE, plain_http=plain_http)
    source = source_of(statements[0])
    with exported(root, source.commit) as tree:
        check_inputs(source, tree)
        known = catalog.load(tree)
        order = known.order([source.image])
        name = tag(source.image, "latest", SUFFIX)
        try:
            options = Options(no_cache=True, suffix=SUFFIX)
            made = build.build(known, engine, [source.image], view, options).images[source.image]
            found = Rebuilt(str(reference), source.image, source.commit, digest, made.digest)
            if found.same:
                return found
            with Repository(reference, plain_http=plain_http) as there:
                return compared(found, there, engine, name)
        finally:
            for image in reversed(order):
                for each in engine.tags(repository(image.name, SUFFIX)):
                    engine.remove(each)
            engine.tidy()


def require_same(found: Rebuilt) -> None:
    """Raise `VerificationFailed` (exit 5) unless the same bits came out."""
    if not found.same:
        raise VerificationFailed(
            f"{found.reference}: built again it is {found.rebuilt[:19]}, and {found.published[:19]} is published",
            "What differs stands above; say so to whoever publishes it.",
        )


# What it was made of


class _Material(msgspec.Struct, frozen=True):
    name: str
    digest: dict[str, str]


class _External(msgspec.Struct, frozen=True):
    image: Annotated[str, msgspec.Meta(max_length=256)]


class _Definition(msgspec.Struct, frozen=True, rename="camel"):
    external_parameters: _External
    resolved_dependencies: Annotated[tuple[_Material, ...], msgspec.Meta(max_length=4096)]


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
    return Source(made.external_parameters.image, commit, inputs)


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
        have = hashlib.sha256(path.read_bytes()).hexdigest() if inside and path.is_file() else "nothing"
        if have != wanted:
            raise VerificationFailed(
                f"{name[:200]} is {have[:12]} at {source.commit[:12]}, and the provenance says {wanted[:12]}",
                "The provenance and the commit do not belong together.",
            )


# Where they differ


def compared(found: Rebuilt, there: Repository, engine: Engine, name: str) -> Rebuilt:
    """The rebuilt image held against the published one, layer by layer and file by file."""
    theirs = there.manifest(found.published).image()
    ours = Manifest(_content(engine, name, found.rebuilt), OCI_MANIFEST).image()
    layers = []
    for number, (one, other) in enumerate(zip_longest(theirs.layers, ours.layers), 1):
        if one is None or other is None or one.digest != other.digest:
            layers.append(_layer(number, one, other, there, engine, name))
    configurations = (there.blob(theirs.config, LARGEST_CONFIG), _content(engine, name, ours.config.digest))
    return Rebuilt(**{**vars(found), "layers": tuple(layers), "configuration": tuple(_keys(*configurations))})


def _layer(
    number: int, one: Descriptor | None, other: Descriptor | None, there: Repository, engine: Engine, name: str
) -> LayerDifference:
    theirs = entries(verify.unpacked(there.stream(one), one.media_type)) if one else {}
    ours: dict[str, Entry] = {}
    if other:
        for _, file in engine.content(name, [other.digest]):
            ours = entries(verify.unpacked(_pieces(file), other.media_type))
    files = differences(theirs, ours)
    return LayerDifference(
        number=number,
        published=one.digest if one else "",
        rebuilt=other.digest if other else "",
        count=len(files),
        files=tuple(files[:MOST_NAMED]),
    )


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(2**20):
        yield piece


def _content(engine: Engine, name: str, digest: str) -> bytes:
    ((_, data),) = [(one, file.read()) for one, file in engine.content(name, [digest])]
    return data


def _keys(one: bytes, other: bytes) -> Iterator[str]:
    """The parts of an image's configuration that differ: config.Env, history."""
    first, second = (_flat(data) for data in (one, other))
    yield from sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def _flat(data: bytes) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise VerificationFailed(f"the image's configuration is malformed: {error}", "Do not use it.") from None
    inner = content.pop("config", None)
    settings = {f"config.{name}": value for name, value in inner.items()} if isinstance(inner, dict) else {}
    return {**content, **settings}


def as_json(found: Rebuilt) -> dict[str, Any]:
    """For programs (schema 1)."""
    return {"schema": SCHEMA, "same": found.same, **asdict(found)}
