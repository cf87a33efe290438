"""The tables of an ``image.toml``, and TOML's words for what is wrong in one."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from assay.catalog.files import read_text, relative
from assay.errors import UsageError

_Word = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*\Z")]
_Line = Annotated[str, msgspec.Meta(pattern=r"^\S([^\r\n]*\S)?\Z")]
_Month = Annotated[str, msgspec.Meta(pattern=r"^20\d\d-(0[1-9]|1[0-2])\Z")]
_Module = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*\Z")]
# The last word of the ids of what is found with it.
_Backend = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]*\Z")]
# A distribution, or a folder by a pattern of its path, without a slash at its end.
_Part = Annotated[str, msgspec.Meta(pattern=r"^(/[A-Za-z0-9._+*-]+)+\Z|^[A-Za-z0-9][A-Za-z0-9._-]*\Z")]
_Pattern = Annotated[str, msgspec.Meta(pattern=r"^/[A-Za-z0-9._+/*?-]+\Z")]


class Framework(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The framework of an image, and the names that it goes by.

    ``name`` is that of its file, smoke/frameworks/<name>.py; ``module`` is what Python imports; ``distribution`` is
    the package that brings it, if that has another name. ``backends`` compute for a framework that leaves this to
    others; each of them is certified.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z_][a-z0-9_]*\Z")]
    module: _Module
    distribution: _Word | None = None
    backends: tuple[_Backend, ...] = ()


class Base(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Debian suite that images stand on.

    ``exclude`` are paths that are left out, in the patterns of dpkg's path-exclude. ``supported_until`` is the last
    month of Debian's support.
    """

    suite: _Word
    platform: _Word
    include: tuple[_Word, ...] = ()
    exclude: tuple[_Pattern, ...] = ()
    supported_until: _Month | None = None


class Tools(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A root file system of build tools, and what it has that no base has.

    ``components`` are those of the archive. The packages in ``unpack`` are unpacked without their dependencies.
    ``sources`` are source packages, put below /usr/src/debian. ``exclude`` are paths that are left out, in the
    patterns of dpkg's path-exclude.
    """

    suite: _Word
    components: tuple[_Word, ...] = ("main",)
    include: tuple[_Word, ...] = ()
    unpack: tuple[_Word, ...] = ()
    sources: tuple[_Word, ...] = ()
    exclude: tuple[_Pattern, ...] = ()
    supported_until: _Month | None = None


class ImageTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every image says of itself."""

    summary: _Line
    parent: str | None = None
    build_tools: str | None = None
    workloads: tuple[_Word, ...] = ()
    notes: tuple[_Line, ...] = ()
    platforms: tuple[Literal["linux/amd64", "linux/arm64"], ...] = ("linux/amd64",)


class Layers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What goes into a layer of its own, below the rest of the image, since it moves less often than that.

    ``first`` are distributions of its lock; of a base they are folders, such as /usr/lib/gcc or /usr/lib/*/perl.
    """

    first: tuple[_Part, ...] = ()


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an image may take: its uncompressed size in GB; minutes to build it on two cores, with all below it, from
    nothing.
    """

    size_gb: Annotated[float, msgspec.Meta(gt=0)] | None = None
    minutes: Annotated[float, msgspec.Meta(gt=0)] | None = None


class Support(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Upstream's support of what the image is for: its first month, its last one, and why it ends then.

    `since` is the month in which the release appeared that is in the image.
    """

    until: _Month
    why: _Line
    since: _Month | None = None


class AsFound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a framework says at its first import, each a pattern of a whole line."""

    stderr: tuple[_Line, ...] = ()


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One image.toml."""

    image: ImageTable
    framework: Framework | None = None
    labels: dict[_Word, _Line] = {}
    limits: Limits = Limits()
    layers: Layers = Layers()
    base: Base | None = None
    tools: Tools | None = None
    built: dict[_Word, _Word] = {}
    beside: dict[_Word, _Word] = {}
    as_found: AsFound = AsFound()
    uncalled: dict[_Line, _Line] = {}
    programs: dict[_Word, _Line] = {}
    left_out: dict[_Word, _Line] = {}
    sources: dict[_Word, tuple[_Line, ...]] = {}
    support: Support | None = None


_TABLES: dict[str, type[msgspec.Struct]] = {
    "": File,
    "image": ImageTable,
    "framework": Framework,
    "limits": Limits,
    "layers": Layers,
    "base": Base,
    "tools": Tools,
    "as_found": AsFound,
    "support": Support,
}


def read(path: Path, root: Path) -> File:
    """Read an image.toml; `UsageError` names the file below ``root`` and the key that is wrong."""
    shown = relative(path, root)
    try:
        return msgspec.toml.decode(read_text(path, shown), type=File)
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
        keys = _TABLES[table].__struct_fields__ if table in _TABLES else ()
        near = difflib.get_close_matches(quoted[1], keys, n=1) if quoted else []
        hint = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(keys)}."
        return UsageError(f"{shown}: unknown key {key}", hint)
    if problem.startswith("Object missing required field"):
        return UsageError(f"{shown}: {key} is missing", f"Add {key} to it.")
    return UsageError(f"{shown}: {table or 'the file'}: {problem}", f"Correct {table or 'it'} there.")
