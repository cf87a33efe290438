"""The key of an image: a hash over everything that decides what it will be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path

from assay import planning, rootfs
from assay.catalog import Catalog, Image
from assay.certificate import suite_files
from assay.images import tag
from assay.planning import ENVIRONMENT

# Raise it when this file changes what goes into an image in a way that no input shows.
RECIPE = 1
# The files of images/common that install; the others go into the image.
INSTALLERS = ("install-lock", "byte-compile")
WHEEL_INSTALLER = "install-wheels"
SOURCE_INSTALLERS = ("split-lock", "install-sources")
# What of an image.toml goes into an image stands in its plan and labels.
_NOT_INPUTS = ("image.toml", *planning.NO_INPUTS)


def environment_tag(cat: Catalog, image: Image, parent_digest: str | None, suffix: str) -> str:
    """The local name of an image's environment, after all that goes into it."""
    parts = {"parent": parent_digest, **_inputs(image), "files": _hashes(cat, _environment_files(cat, image))}
    return tag(image.name, f"{ENVIRONMENT}-{_digest_of(parts)[:16]}", suffix)


def input_key(cat: Catalog, image: Image, parent_digest: str | None) -> str:
    """A hash over everything that decides what an image will be."""
    parts: dict[str, object] = {"parent": parent_digest, "labels": planning.labels(image), **_inputs(image)}
    files = _environment_files(cat, image)
    if image.framework:
        parts["plan"] = planning.plan_text(image)
        files += suite_files.carried(cat.root / "smoke", image.framework.name)
        files += [planning.last_dockerfile(cat, image), *_tree(cat.root / "images" / "common")]
    return _digest_of({**parts, "files": _hashes(cat, files)})


def _inputs(image: Image) -> dict[str, object]:
    inputs: dict[str, object] = {"recipe": RECIPE, "epoch": rootfs.SOURCE_DATE_EPOCH, "uv": version("uv")}
    return {**inputs, "sources": sorted(image.sources)} if image.sources else inputs


def _environment_files(cat: Catalog, image: Image) -> list[Path]:
    """The files that decide what is installed; of the common ones only those that do it."""
    tools = image.build_tools.packages_lock if image.build_tools else None
    files = [path for path in (image.dockerfile, image.lock, image.packages_lock, tools) if path]
    if image.suite is None:
        files += _tree(image.folder)
        installers = [*INSTALLERS, *((WHEEL_INSTALLER,) if image.built else ())]
        installers += SOURCE_INSTALLERS if image.sources else ()
        files += [cat.root / "images" / "common" / name for name in installers]
    return files


def _hashes(cat: Catalog, files: Iterable[Path]) -> dict[str, str]:
    return {
        path.relative_to(cat.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(set(files))
    }


def _digest_of(parts: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _tree(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.name not in _NOT_INPUTS
    ]
