"""The images, as their folders under ``images/`` describe them.

Reads files and nothing else. A defect anywhere is a ``UsageError`` that names the file and the key, so
whoever holds a ``Catalog`` holds images whose parents exist and whose locks are pinned, hashed and in
agreement with the stacks below them.
"""

from __future__ import annotations

import difflib
import graphlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import msgspec
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from assay.errors import UsageError

IMAGES = "images"
# What an sdist without a pyproject.toml is built with. They come as wheels, from the same lock.
BUILD_TOOLS = ("setuptools", "wheel")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|\bfile:/")
_LOCAL_PATH = re.compile(r"""(?:^|[\s='"(@])(?:/|~/|\.{1,2}/|[A-Za-z]:\\)""")
_HASH = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_HASH_LINE = re.compile(r"\s*--hash=sha[0-9]+:[0-9a-f]+(?:\s*\\)?\s*")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
# One component of a repository name, as the OCI distribution specification has it.
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")


@dataclass(frozen=True)
class Framework:
    """The framework that an image is for, and how it is named where."""

    name: str  # smoke/frameworks/<name>.py
    module: str  # what is imported
    distribution: str | None = None  # the package that brings it, where its name is another one
    backends: tuple[str, ...] = ()  # what computes for it, where it leaves that to others: each is certified


@dataclass(frozen=True)
class Tools:
    """What a root file system of build tools has that no base has."""

    components: tuple[str, ...]  # of the archive
    unpack: tuple[str, ...]  # packages that are unpacked without what they depend on
    sources: tuple[str, ...]  # source packages, put below /usr/src/debian
    exclude: tuple[str, ...]  # paths that are left out, as dpkg's path-exclude has them


@dataclass(frozen=True)
class Image:
    """One image, one folder. A base has a suite; a framework image has a framework; a stack has neither.

    Build tools look like a base. They are no image: a build mounts them, and nothing of them stays.
    """

    name: str  # the folder, relative to images/
    folder: Path
    dockerfile: Path  # in the folder, or in the closest one above it
    parent: str | None
    summary: str
    framework: Framework | None
    workloads: tuple[str, ...]
    labels: Mapping[str, str] = field(hash=False)  # promised facts: its own and its ancestors'
    size_gb: float | None  # upper bound of the uncompressed size
    requirements: Path | None
    lock: Path | None
    packages_lock: Path | None
    suite: str | None
    include: tuple[str, ...]  # Debian packages that the base has on top of the minimum
    platform: str | None  # what wheels are chosen for, in uv's words: the base's, in every image above it
    notes: tuple[str, ...]
    built: Mapping[str, str] = field(hash=False)  # packages that its Dockerfile builds, and their versions
    beside: Mapping[str, str] = field(default_factory=dict, hash=False)  # packages of ours, in images/common/beside
    stderr: tuple[str, ...] = ()  # what its framework's first lines may say there, each a pattern of a whole line
    # Libraries that crash when they are asked for their version without a driver, and why nothing asks them.
    uncalled: Mapping[str, str] = field(default_factory=dict, hash=False)
    build_tools: Image | None = None  # what it builds them with
    tools: Tools | None = None  # of build tools only
    # What is built from source in the image, each with what it asks for, as its own metadata say.
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    # The last month in which Debian mends the suite, such as 2028-06: the base's, in every image above it.
    supported_until: str | None = None


@dataclass(frozen=True)
class Pin:
    """One line of a lock: a distribution, its exact version, and the hashes of its files."""

    name: str
    version: str
    hashes: tuple[str, ...]


@dataclass(frozen=True)
class Catalog:
    """All images of one repository, and the build tools of some, each sorted by name."""

    root: Path
    images: Mapping[str, Image] = field(hash=False)
    tools: Mapping[str, Image] = field(default_factory=dict, hash=False)

    def get(self, name: str) -> Image:
        """Return the image of that name."""
        try:
            return self.images[name]
        except KeyError:
            if name in self.tools:
                todo = f"They can be locked: `assay lock {name}`."
                raise UsageError(f"{name} are build tools, and no image is made of them", todo) from None
            near = difflib.get_close_matches(name, self.images, n=3, cutoff=0.5)
            hint = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(self.images)}."
            raise UsageError(f"no image is named {name!r}", hint) from None

    def select(self, names: Iterable[str]) -> tuple[Image, ...]:
        """Return the images of these names, each once; all framework images where there are no names."""
        return tuple(self.get(name) for name in dict.fromkeys(names)) or self.frameworks()

    def order(self, names: Iterable[str]) -> tuple[Image, ...]:
        """Return the selected images and all that they stand on, parents first."""
        graph: dict[str, list[str]] = {}
        for image in self.select(names):
            for member in (image, *self.ancestors(image)):
                graph[member.name] = [member.parent] if member.parent else []
        return tuple(self.images[name] for name in graphlib.TopologicalSorter(graph).static_order())

    def frameworks(self) -> tuple[Image, ...]:
        """Return the images that have a framework in them."""
        return tuple(image for image in self.images.values() if image.framework)

    def ancestors(self, image: Image) -> tuple[Image, ...]:
        """Return what the image stands on, its parent first."""
        found: list[Image] = []
        while image.parent is not None:
            image = self.images[image.parent]
            found.append(image)
        return tuple(found)


def load(root: Path, *, locked: bool = True) -> Catalog:
    """Read every image of the repository at ``root``.

    ``locked=False`` is for whoever writes the locks: it leaves unread what is yet to be written.
    """
    top = root / IMAGES
    files = {path.parent.relative_to(top).as_posix(): _read(path, root) for path in _discover(top, root)}
    if not files:
        raise UsageError(f"{top} holds no image.toml", "Run this in a checkout of the repository.")
    found: dict[str, Image] = {}
    for name in _parents_first(files):
        found[name] = _image(root, name, files[name], found)
    images, tools = (
        {name: found[name] for name in sorted(found) if bool(found[name].tools) == kind} for kind in (0, 1)
    )
    catalog = Catalog(root, MappingProxyType(images), MappingProxyType(tools))
    if locked:
        _check_locks(catalog)
    return catalog


# ---- image.toml ----------------------------------------------------------------------------------

_Word = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*\Z")]
_Line = Annotated[str, msgspec.Meta(pattern=r"^\S([^\r\n]*\S)?\Z")]
_Month = Annotated[str, msgspec.Meta(pattern=r"^20\d\d-(0[1-9]|1[0-2])\Z")]
_Module = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\Z")]


# The last word of the ids of what is found with it.
_Backend = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]*\Z")]


class _ImageTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    summary: _Line
    parent: str | None = None
    build_tools: str | None = None
    workloads: tuple[_Word, ...] = ()
    notes: tuple[_Line, ...] = ()


class _FrameworkTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z_][a-z0-9_]*\Z")]
    module: _Module
    distribution: _Word | None = None
    backends: tuple[_Backend, ...] = ()


class _LimitsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size_gb: Annotated[float, msgspec.Meta(gt=0)] | None = None


class _BaseTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    suite: _Word
    platform: _Word
    include: tuple[_Word, ...] = ()
    supported_until: _Month | None = None


_Pattern = Annotated[str, msgspec.Meta(pattern=r"^/[A-Za-z0-9._+/*?-]+\Z")]


class _ToolsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    suite: _Word
    components: tuple[_Word, ...] = ("main",)
    include: tuple[_Word, ...] = ()
    unpack: tuple[_Word, ...] = ()
    sources: tuple[_Word, ...] = ()
    exclude: tuple[_Pattern, ...] = ()
    supported_until: _Month | None = None


class _AsFoundTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    stderr: tuple[_Line, ...] = ()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    image: _ImageTable
    framework: _FrameworkTable | None = None
    labels: dict[_Word, _Line] = {}
    limits: _LimitsTable = _LimitsTable()
    base: _BaseTable | None = None
    tools: _ToolsTable | None = None
    built: dict[_Word, _Word] = {}
    beside: dict[_Word, _Word] = {}
    as_found: _AsFoundTable = _AsFoundTable()
    uncalled: dict[_Line, _Line] = {}
    sources: dict[_Word, tuple[_Line, ...]] = {}


def _discover(top: Path, root: Path) -> list[Path]:
    found = []
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if "image.toml" not in names:
            continue
        path = Path(folder, "image.toml")
        parts = path.parent.relative_to(top).parts
        if len(parts) not in {1, 2} or not all(_COMPONENT.fullmatch(part) for part in parts):
            raise UsageError(
                f"{_shown(path.parent, root)} is no name for an image",
                "Name the folder images/NAME or images/GROUP/NAME, of lower-case letters and digits, "
                "with single . _ or - between them.",
            )
        found.append(path)
    return found


def _read(path: Path, root: Path) -> _File:
    shown = _shown(path, root)
    try:
        return msgspec.toml.decode(_text(path, shown), type=_File)
    except msgspec.ValidationError as error:
        raise _invalid(shown, str(error)) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise UsageError(f"{shown} is not TOML: {error}", "Correct it there.") from None


def _invalid(shown: str, message: str) -> UsageError:
    """Say in TOML's words what msgspec says in its own."""
    problem, _, place = message.partition(" - at ")
    table = place.strip("`").removeprefix("key in ").strip("`").lstrip("$").lstrip(".")
    quoted = re.search(r"`(.*)`", problem, re.DOTALL)
    key = f"{table}.{quoted[1]}" if quoted and table else quoted[1] if quoted else table
    if problem.startswith("Object contains unknown field"):
        known = _fields(table)
        near = difflib.get_close_matches(quoted[1], known, n=1) if quoted else []
        hint = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(known)}."
        return UsageError(f"{shown}: unknown key {key}", hint)
    if problem.startswith("Object missing required field"):
        return UsageError(f"{shown}: {key} is missing", f"Add {key} to it.")
    return UsageError(f"{shown}: {table or 'the file'}: {problem}", f"Correct {table or 'it'} there.")


def _fields(table: str) -> tuple[str, ...]:
    types = {
        "": _File,
        "image": _ImageTable,
        "framework": _FrameworkTable,
        "limits": _LimitsTable,
        "base": _BaseTable,
        "tools": _ToolsTable,
        "as_found": _AsFoundTable,
    }
    return types[table].__struct_fields__ if table in types else ()


def _parents_first(files: Mapping[str, _File]) -> list[str]:
    graph: dict[str, list[str]] = {}
    for name, file in sorted(files.items()):
        parent = file.image.parent
        able = [one for one, other in sorted(files.items()) if not other.tools]
        if parent is not None and parent not in able:
            near = difflib.get_close_matches(parent, able, n=3, cutoff=0.5)
            hint = f"Did you mean {' or '.join(near)}?" if near else f"There are {', '.join(able)}."
            raise UsageError(f"{_toml(name)}: image.parent: no image is named {parent!r}", hint)
        graph[name] = [] if parent is None else [parent]
        tools = file.image.build_tools
        if tools is not None:
            if tools not in files or not files[tools].tools:
                problem = f"image.build_tools: there are no build tools named {tools!r}"
                raise UsageError(
                    f"{_toml(name)}: {problem}", f"Write them into {_toml(tools)}, with a table [tools]."
                )
            graph[name].append(tools)
    try:
        return list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        circle = list(reversed(error.args[1][1:]))
        start = circle.index(min(circle))
        circle = [*circle[start:], *circle[: start + 1]]
        raise UsageError(
            f"{_toml(circle[0])}: image.parent: a circle of parents: {' -> '.join(circle)}",
            "Give one of them another parent.",
        ) from None


def _image(root: Path, name: str, file: _File, known: Mapping[str, Image]) -> Image:
    folder = root / IMAGES / name
    parent = known[file.image.parent] if file.image.parent is not None else None
    _check_kind(name, file)
    _check_own(root, name, file)
    made, bottom = file.framework, file.base or file.tools
    return Image(
        name=name,
        folder=folder,
        dockerfile=folder / "Dockerfile" if file.tools else _dockerfile(folder, root),
        parent=file.image.parent,
        summary=file.image.summary,
        framework=Framework(made.name, made.module, made.distribution, made.backends) if made else None,
        workloads=file.image.workloads,
        labels=_labels(name, file.labels, parent),
        size_gb=file.limits.size_gb,
        requirements=_present(folder / "requirements.in"),
        lock=_present(folder / "requirements.lock"),
        packages_lock=_present(folder / "packages.lock"),
        suite=bottom.suite if bottom else None,
        include=bottom.include if bottom else (),
        platform=file.base.platform if file.base else parent.platform if parent else None,
        notes=file.image.notes,
        built=MappingProxyType({canonicalize_name(key): value for key, value in file.built.items()}),
        beside=file.beside,
        stderr=file.as_found.stderr,
        uncalled=file.uncalled,
        build_tools=known[file.image.build_tools] if file.image.build_tools else None,
        tools=_tools(file.tools),
        sources=_sources(name, file.sources),
        supported_until=bottom.supported_until if bottom else parent.supported_until if parent else None,
    )


def _tools(table: _ToolsTable | None) -> Tools | None:
    return Tools(table.components, table.unpack, table.sources, table.exclude) if table else None


def _check_kind(name: str, file: _File) -> None:
    """A base and build tools stand on nothing and train nothing; every other image stands on something."""
    where = _toml(name)
    table = "[base]" if file.base else "[tools]"
    bottom = file.base or file.tools
    others = {
        "image.parent": file.image.parent,
        "image.build_tools": file.image.build_tools,
        "framework": file.framework,
        "[tools]": file.base and file.tools,
    }
    for key, value in others.items():
        if bottom and value is not None:
            raise UsageError(f"{where}: {key} does not go with {table}", f"Remove {key} or {table}.")
    if not bottom and file.image.parent is None:
        raise UsageError(
            f"{where}: image.parent is missing", "Name the image that this one is built on, or add [base]."
        )
    if file.framework and not file.image.workloads:
        raise UsageError(
            f"{where}: image.workloads is empty",
            'Name what is trained in it, such as workloads = ["digits"].',
        )
    if file.image.workloads and not file.framework:
        raise UsageError(f"{where}: image.workloads without [framework]", "Remove one or add the other.")
    if len(set(file.image.workloads)) != len(file.image.workloads):
        raise UsageError(f"{where}: image.workloads names one twice", "Name each workload once.")
    if file.framework and len(set(file.framework.backends)) != len(file.framework.backends):
        raise UsageError(f"{where}: framework.backends names one twice", "Name each backend once.")


def _check_own(root: Path, name: str, file: _File) -> None:
    """What is put beside the framework is there, and each pattern of what it may say is one."""
    for package in file.beside:
        if not (root / IMAGES / "common/beside" / package).is_dir():
            raise UsageError(
                f"{_toml(name)}: beside.{package}: images/common/beside has none of that name",
                "Name a folder there, an unpacked wheel.",
            )
    for pattern in file.as_found.stderr:
        try:
            re.compile(pattern)
        except re.error as why:
            raise UsageError(
                f"{_toml(name)}: as_found.stderr: {pattern!r} is no regular expression: {why}", "Correct it there."
            ) from None


def _sources(name: str, own: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    """The distributions that come as source, by the names that locks have for them."""
    for source, needs in own.items():
        for text in needs:
            _requirement(text, f"{_toml(name)}: sources.{source}", "Write what it needs, such as NAME>=VERSION.")
    return MappingProxyType({canonicalize_name(source): needs for source, needs in own.items()})


def _labels(name: str, own: Mapping[str, str], parent: Image | None) -> Mapping[str, str]:
    inherited = parent.labels if parent else {}
    for key, value in own.items():
        if inherited.get(key, value) != value:
            raise UsageError(
                f"{_toml(name)}: labels.{key} is {value!r}, but {inherited[key]!r} in what it is built on",
                f"Remove labels.{key} here, or choose another parent.",
            )
    return MappingProxyType({**inherited, **own})


def _dockerfile(folder: Path, root: Path) -> Path:
    for place in (folder, *folder.parents):
        if (place / "Dockerfile").is_file():
            return place / "Dockerfile"
        if place == root / IMAGES:
            break
    raise UsageError(
        f"{_shown(folder, root)} has no Dockerfile, and no folder above it has one",
        f"Write {_shown(folder, root)}/Dockerfile.",
    )


# ---- requirements.in and requirements.lock -------------------------------------------------------


def packages(lock: Path, shown: str | None = None) -> Mapping[str, Pin]:
    """Read a pip-style lock: every line one exact version with the hashes of its files.

    Errors name the file as ``shown`` where it is given.
    """
    return parse_lock(_text(lock, shown or str(lock)), shown or str(lock))


def parse_lock(text: str, shown: str) -> Mapping[str, Pin]:
    """Read the text of a lock as `packages` does."""
    _check_no_address(text, shown)
    pins: dict[str, Pin] = {}
    for number, line in _logical_lines(text):
        pin = _pin(line, f"{shown}:{number}")
        if pin.name in pins:
            raise UsageError(f"{shown}:{number}: {pin.name} stands twice", "Write the lock with `assay lock`.")
        pins[pin.name] = pin
    return MappingProxyType(pins)


def requirements(source: Path, shown: str | None = None) -> tuple[Requirement, ...]:
    """Read a ``requirements.in``: requirements and comments; options and addresses have no place in it."""
    shown = shown or str(source)
    text = _text(source, shown)
    _check_no_address(text, shown)
    todo = "Write one requirement a line, such as NAME==VERSION."
    return tuple(_requirement(line, f"{shown}:{number}", todo) for number, line in _logical_lines(text))


def _pin(line: str, where: str) -> Pin:
    todo = "Write the lock with `assay lock`."
    text, *hashes = re.split(r"\s+--hash(?:=|\s+)", line)
    hashes = [value.strip() for value in hashes]
    requirement = _requirement(text, where, todo)
    specifiers = list(requirement.specifier)
    if len(specifiers) != 1 or specifiers[0].operator != "==" or specifiers[0].version.endswith(".*"):
        raise UsageError(f"{where}: {requirement.name} has no exact version", todo)
    if requirement.marker is not None:
        raise UsageError(
            f"{where}: {requirement.name} has a condition, but a lock is for one Python on one platform", todo
        )
    if not hashes:
        raise UsageError(f"{where}: {requirement.name} has no hash", todo)
    for value in hashes:
        if not _HASH.fullmatch(value):
            raise UsageError(f"{where}: {requirement.name}: {value[:80]!r} is no hash", todo)
    return Pin(canonicalize_name(requirement.name), specifiers[0].version, tuple(sorted(set(hashes))))


def _requirement(text: str, where: str, todo: str) -> Requirement:
    try:
        requirement = Requirement(text)
        for specifier in requirement.specifier:
            Version(specifier.version.removesuffix(".*"))  # no "===", and no version of thousands of digits
    except (ValueError, RecursionError):
        raise UsageError(f"{where}: {text.strip()[:80]!r} is no requirement", todo) from None
    if requirement.url is not None:
        raise UsageError(f"{where}: {requirement.name} comes from an address", todo)
    return requirement


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """Return the lines that say something, continuations joined, each with the number that it starts at."""
    lines: list[tuple[int, str]] = []
    begun: tuple[int, str] | None = None
    for number, raw in enumerate(text.split("\n"), start=1):
        line = _COMMENT.sub("", raw.rstrip()).rstrip()
        start, before = begun or (number, "")
        begun = (start, before + line[:-1] + " ") if line.endswith("\\") else None
        if begun is None and (before + line).strip():
            lines.append((start, (before + line).strip()))
    if begun is not None and begun[1].strip():
        lines.append((begun[0], begun[1].strip()))
    return lines


def _check_no_address(text: str, shown: str) -> None:
    for number, line in enumerate(text.split("\n"), start=1):
        if _HASH_LINE.fullmatch(line):
            continue  # most lines are, and the two searches below take longer
        if _ADDRESS.search(line) or _LOCAL_PATH.search(line):
            raise UsageError(
                f"{shown}:{number}: records an address or a path of one machine",
                "Remove it; the index is named by the configuration of uv or pip on each machine.",
            )


def _check_locks(catalog: Catalog) -> None:
    read: dict[str, Mapping[str, Pin]] = {}
    for image in catalog.images.values():
        where = f"{IMAGES}/{image.name}"
        if image.requirements and not image.lock:
            raise UsageError(f"{where}/requirements.lock is missing", f"Run `assay lock {image.name}`.")
        if image.lock and not image.requirements:
            raise UsageError(
                f"{where}/requirements.lock has no requirements.in beside it", "Say there what it is for."
            )
        if image.requirements:
            requirements(image.requirements, _shown(image.requirements, catalog.root))
        if image.lock:
            read[image.name] = packages(image.lock, _shown(image.lock, catalog.root))
        _check_sources(image, read.get(image.name, {}))
    for image in catalog.images.values():
        for below in catalog.ancestors(image):
            if image.name in read and below.name in read:
                check_contains(image.name, read[image.name], below.name, read[below.name])


def _check_sources(image: Image, pins: Mapping[str, Pin]) -> None:
    """What comes as source is locked, to the hash of its sdist, and so is what builds it."""
    for source in image.sources:
        for name in (source, *BUILD_TOOLS):
            if name not in pins:
                raise UsageError(
                    f"{_toml(image.name)}: sources.{source} takes {name}, which its requirements.lock lacks",
                    f"Name {name} in {IMAGES}/{image.name}/requirements.in and run `assay lock {image.name}`.",
                )


def check_contains(name: str, pins: Mapping[str, Pin], below: str, stack: Mapping[str, Pin]) -> None:
    """Hold a lock against that of a stack below it, all of whose pins it must have, to the hash."""
    for package, pin in stack.items():
        own = pins.get(package)
        if own == pin:
            continue
        has = "lacks it" if own is None else f"has {own.version}"
        if own is not None and own.version == pin.version:
            has = "has other hashes"
        raise UsageError(
            f"{IMAGES}/{name}/requirements.lock: {package} is {pin.version} in {below}, and this lock {has}",
            f"Run `assay lock {name}`.",
        )


# ---- files ---------------------------------------------------------------------------------------


def _text(path: Path, shown: str) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown} is not UTF-8: {error.reason} at byte {error.start}", "Save it as UTF-8.") from None
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror}", "See to its type and rights.") from None


def _present(path: Path) -> Path | None:
    return path if path.exists() else None


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _toml(name: str) -> str:
    return f"{IMAGES}/{name}/image.toml"
