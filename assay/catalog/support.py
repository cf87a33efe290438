"""The life of an image's framework, as `[support]` in image.toml tells it: a fact about upstream, and no input.

It changes when the world does, and not the image: a certificate that was made before still holds. So the table is
left out of what a certificate says of image.toml; it has to stand last there, so that the rest is the file before it.
"""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.catalog import toml
from assay.catalog.files import IMAGES, described, toml_of
from assay.catalog.toml import Support
from assay.errors import UsageError

_HEADER = re.compile(rb"^\[support\][ \t]*(?:#.*)?$", re.MULTILINE)


def supports(root: Path) -> dict[str, Support]:
    """Return what is told of the images' frameworks, by image, in a checkout or a release; of most nothing is."""
    found = {name: toml.read(root / toml_of(name), root).support for name in described(root)}
    return {name: support for name, support in found.items() if support}


def ended(support: Support | None, today: str | None = None) -> str:
    """Return that upstream's support has ended, in words; empty where it has not, or nothing is told.

    ``today`` is a month such as 2026-12; None is the clock's.
    """
    if support is None or (today or time.strftime("%Y-%m", time.gmtime())) <= support.until:
        return ""
    return f"upstream's support ended {support.until}: {support.why}"


def ended_in(root: Path) -> Mapping[str, str]:
    """Return the images of a checkout or a release whose support has ended, each with the words for it."""
    return {name: words for name, support in supports(root).items() if (words := ended(support))}


def without_support(data: bytes, name: str) -> bytes:
    """Return an image.toml without its table `[support]`: what a certificate is of.

    Raises `UsageError`, with the name of the image, where something follows that table.
    """
    header = _HEADER.search(data)
    if header is None:
        return data
    rest = data[: header.start()].rstrip(b"\n") + b"\n"
    if _read(rest) != {key: value for key, value in _read(data).items() if key != "support"}:
        raise UsageError(
            f"{IMAGES}/{name}/image.toml: [support] does not stand last, and comes after all that makes the image",
            "Move the table to the end of the file; comments about it go into it.",
        )
    return rest


def _read(data: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError):
        return {"": None}  # cut within something else
