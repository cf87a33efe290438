"""Reads the images from their folders under ``images/``.

It reads files and nothing else. A defect anywhere is a ``UsageError`` that names the file and the key. So whoever
holds a ``Catalog`` holds images whose parents exist and whose locks are pinned, hashed and in agreement.
"""

from __future__ import annotations

import dataclasses
import graphlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from packaging.utils import canonicalize_name

from assay.catalog import toml
from assay.catalog.agree import agreed_pins
from assay.catalog.files import IMAGES, present, relative, toml_of
from assay.catalog.image import Catalog, Image, nearest
from assay.catalog.pins import parse_requirement
from assay.catalog.platforms import AMD64, Platform, check_platforms, platform_of
from assay.catalog.toml import File, Support
from assay.errors import UsageError

# Packages of ours (images/common/beside) that every framework's image has, and their versions.
EVERYWHERE = {"assay-environment": "1"}
# One component of a repository name, as the OCI distribution specification has it.
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")


def load(root: Path, *, locked: bool = True, platform: str = AMD64.name) -> Catalog:
    """Read every image of the repository at ``root`` that declares this platform.

    ``locked=False`` is for whoever writes the locks: it leaves them unread, as they are yet to be written, and
    `Image.pins` is None.
    """
    top = root / IMAGES
    files = {path.parent.relative_to(top).as_posix(): toml.read(path, root) for path in _discover(top, root)}
    if not files:
        raise UsageError(f"{top} holds no image.toml", "Run this in a checkout of the repository.")
    everything: dict[str, Image] = {}
    chosen = platform_of(platform)
    order = _parents_first(files)
    check_platforms(root, files)
    declared = {name: file.image.platforms for name, file in files.items()}
    elsewhere = {name: platforms for name, platforms in declared.items() if chosen.name not in platforms}
    for name in order:
        if name not in elsewhere:
            everything[name] = _image(root, name, files[name], everything, chosen)
    images = {name: image for name, image in sorted(everything.items()) if not image.tools}
    tools = {name: image for name, image in sorted(everything.items()) if image.tools}
    catalog = Catalog(root, MappingProxyType(images), MappingProxyType(tools), chosen, elsewhere)
    return _with_pins(catalog) if locked else catalog


def _with_pins(catalog: Catalog) -> Catalog:
    pins = agreed_pins(catalog)
    images = {name: dataclasses.replace(image, pins=pins[name]) for name, image in catalog.images.items()}
    return dataclasses.replace(catalog, images=MappingProxyType(images))


def _discover(top: Path, root: Path) -> list[Path]:
    paths = []
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if "image.toml" not in names:
            continue
        path = Path(folder, "image.toml")
        parts = path.parent.relative_to(top).parts
        if len(parts) not in {1, 2} or not all(_COMPONENT.fullmatch(part) for part in parts):
            raise UsageError(
                f"{relative(path.parent, root)} is no name for an image",
                "Name the folder images/NAME or images/GROUP/NAME, of lower-case letters and digits, "
                "with single . _ or - between them.",
            )
        if len(parts) == 2 and parts[0] == parts[1]:
            raise UsageError(
                f"{relative(path.parent, root)} has the name of what it is a variant of",
                "Name it after what sets it apart, such as cuda12 or cpu.",
            )
        paths.append(path)
    return paths


def _parents_first(files: Mapping[str, File]) -> list[str]:
    graph: dict[str, list[str]] = {}
    able = [name for name, file in sorted(files.items()) if not file.tools]
    for name, file in sorted(files.items()):
        parent = file.image.parent
        if parent is not None and parent not in able:
            problem = f"image.parent: no image is named {parent!r}"
            raise UsageError(f"{toml_of(name)}: {problem}", nearest(parent, able))
        graph[name] = [] if parent is None else [parent]
        tools = file.image.build_tools
        if tools is not None:
            if tools not in files or not files[tools].tools:
                problem = f"image.build_tools: there are no build tools named {tools!r}"
                raise UsageError(
                    f"{toml_of(name)}: {problem}", f"Write them into {toml_of(tools)}, with a table [tools]."
                )
            graph[name].append(tools)
    try:
        return list(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        circle = list(reversed(error.args[1][1:]))
        start = circle.index(min(circle))
        circle = [*circle[start:], *circle[: start + 1]]
        raise UsageError(
            f"{toml_of(circle[0])}: image.parent: a circle of parents: {' -> '.join(circle)}",
            "Give one of them another parent.",
        ) from None


def _image(root: Path, name: str, file: File, others: Mapping[str, Image], platform: Platform) -> Image:
    """Return the image that a file describes; ``others`` has its parent and its build tools."""
    folder = root / IMAGES / name
    parent = others[file.image.parent] if file.image.parent is not None else None
    _check_kind(name, file)
    _check_own(root, name, file)
    bottom = file.base or file.tools
    return Image(
        name=name,
        folder=folder,
        dockerfile=folder / "Dockerfile" if file.tools else _dockerfile(folder, root),
        parent=file.image.parent,
        summary=file.image.summary,
        framework=file.framework,
        workloads=file.image.workloads,
        labels=_labels(name, file.labels, parent),
        size_gb=file.limits.size_gb,
        minutes=file.limits.minutes,
        built_for=platform,
        platforms=file.image.platforms,
        requirements=present(folder / "requirements.in"),
        lock=present(folder / platform.lock("requirements")),
        packages_lock=present(folder / platform.lock("packages")),
        suite=bottom.suite if bottom else None,
        include=bottom.include if bottom else (),
        exclude=bottom.exclude if bottom else (),
        first=_first(root, name, file),
        platform=platform.wheels(file.base.platform) if file.base else parent.platform if parent else None,
        notes=file.image.notes,
        built=MappingProxyType({canonicalize_name(key): value for key, value in file.built.items()}),
        beside=_beside(file),
        stderr=file.as_found.stderr,
        uncalled=file.uncalled,
        programs=file.programs,
        left_out=file.left_out,
        build_tools=others[file.image.build_tools] if file.image.build_tools else None,
        tools=file.tools,
        sources=_sources(name, file.sources),
        support=_support(name, file),
        supported_until=bottom.supported_until if bottom else parent.supported_until if parent else None,
    )


def _check_kind(name: str, file: File) -> None:
    """A base and build tools stand on nothing and train nothing; every other image stands on something."""
    where = toml_of(name)
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


def _check_own(root: Path, name: str, file: File) -> None:
    """What is put beside the framework is there, and each pattern of what it may say is one."""
    for package in _beside(file):
        if not (root / IMAGES / "common/beside" / package).is_dir():
            raise UsageError(
                f"{toml_of(name)}: beside.{package}: images/common/beside has none of that name",
                "Name a folder there, an unpacked wheel.",
            )
    for pattern in file.as_found.stderr:
        try:
            re.compile(pattern)
        except re.error as why:
            raise UsageError(
                f"{toml_of(name)}: as_found.stderr: {pattern!r} is no regular expression: {why}", "Correct it there."
            ) from None


def _beside(file: File) -> Mapping[str, str]:
    """The packages of ours that are put in: one in every framework's image, and those that the file names."""
    return MappingProxyType({**(EVERYWHERE if file.framework else {}), **file.beside})


def _sources(name: str, own: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    """The distributions that come as source, by the names that locks have for them."""
    for source, needs in own.items():
        for text in needs:
            where = f"{toml_of(name)}: sources.{source}"
            parse_requirement(text, where, "Write what it needs, such as NAME>=VERSION.")
    return MappingProxyType({canonicalize_name(source): needs for source, needs in own.items()})


def _first(root: Path, name: str, file: File) -> tuple[str, ...]:
    """What goes into a layer of its own; `UsageError` where nothing would put it there."""
    parts = file.layers.first
    where = f"{toml_of(name)}: layers.first"
    for part in parts:
        if part.startswith("/") != (file.base is not None):
            todo = "Name folders for a base, and distributions of the lock for any other image."
            raise UsageError(f"{where}: {part}", todo)
    if parts and not file.base and _dockerfile(root / IMAGES / name, root) != root / IMAGES / "Dockerfile":
        raise UsageError(f"{where}: the image has a Dockerfile of its own, which makes its layers", "Remove it.")
    return parts if file.base else tuple(canonicalize_name(part) for part in parts)


def _support(name: str, file: File) -> Support | None:
    """What upstream's support was. Raises `UsageError` where it ends before it begins."""
    if file.support and file.support.since and file.support.since > file.support.until:
        raise UsageError(
            f"{toml_of(name)}: support.until {file.support.until} comes before support.since", "Correct one of them."
        )
    return file.support


def _labels(name: str, own: Mapping[str, str], parent: Image | None) -> Mapping[str, str]:
    inherited = parent.labels if parent else {}
    for key, value in own.items():
        if inherited.get(key, value) != value:
            raise UsageError(
                f"{toml_of(name)}: labels.{key} is {value!r}, but {inherited[key]!r} in what it is built on",
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
        f"{relative(folder, root)} has no Dockerfile, and no folder above it has one",
        f"Write {relative(folder, root)}/Dockerfile.",
    )
