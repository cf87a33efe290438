"""What lies above a base: the packages that were added, and what of the base is not as it was.

A package may be added to /opt/env, and whatever else anywhere that neither Python nor the loader looks. What the base
brought stays as it is, and nothing may come before it.
"""

from __future__ import annotations

import csv
import email.parser
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from assay.derive.layers import File, Tree
from assay.errors import CertificateFailed
from assay.host.foreign import shown

MOST_NAMED = 4
ENVIRONMENT = "opt/env/"
# Where programs and users keep what is theirs, and what a user is made by.
_FREE = ("var/", "tmp/", "root/", "home/", "run/", "dev/", "proc/", "sys/")
_ACCOUNTS = re.compile(
    r"etc/((passwd|group|shadow|gshadow|subuid|subgid)-?|hostname|hosts|resolv\.conf|mtab|\.pwd\.lock)"
)
# Where Python and the loader look for whatever they load.
_LOOKED_AT = re.compile(
    r"opt/(env|assay)/|etc/(ld\.so|python3|ssl/openssl)|usr/lib/ssl/|usr/local/cuda"
    r"|usr/(local/)?lib(32|64|x32)?/(python3(?!/)|[^/]+\.so|[^/]+-linux-gnu/)"
)
_SEARCHED = ("opt/env/bin", "usr/local/sbin", "usr/local/bin", "usr/sbin")  # of PATH, before usr/bin
_SITE = re.compile(r"opt/env/lib/python3\.\d+/site-packages/")
_AT_START = re.compile(r"(site|user)customize[./]|[^/]+\.pth\Z")
_MODULE = (".py", ".so", ".pyc")


@dataclass(frozen=True)
class Difference:
    """What an image has above its base: files that are new, and those of the base that are others or gone."""

    new: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]

    @classmethod
    def of(cls, below: Mapping[str, File], whole: Mapping[str, File]) -> Difference:
        """Of the files of the base, and all files."""
        return cls(
            tuple(sorted(path for path in whole.keys() - below.keys())),
            tuple(sorted(path for path, file in whole.items() if path in below and below[path] != file)),
            tuple(sorted(path for path in below.keys() - whole.keys())),
        )


def packages(below: Tree, whole: Tree, locked: Iterable[str]) -> dict[str, str]:
    """The packages that were added to the environment, by normal name, each with its version.

    ``locked`` are the packages of the base, of which no second may be there. Raises `CertificateFailed` for that, for
    a change to the base, and for what comes before it or belongs to no package.
    """
    found = Difference.of(below.files, whole.files)
    about = sorted(path for path in found.new if path.endswith(".dist-info/METADATA") and _SITE.match(path))
    names = {path: _named(whole.data.get(path, b"")) for path in about}
    owners = {each: " ".join(names[path]) for path in about for each in _record(whole, posixpath.dirname(path))}
    own = {_normal(name) for name in locked}
    wrong = [f"{name} is locked, and {name} {version} was added" for name, version in names.values() if name in own]
    wrong += _overwritten([path for path in found.changed if not _is_free(path)], owners)
    wrong += [f"/{path} of the base is gone" for path in found.gone if not _is_free(path)]
    wrong += [what for path in found.new for what in _of_new(path, whole.files, owners)]
    wrong += _hiding(below.files, found.new)
    if wrong:
        more = f"; and {len(wrong) - MOST_NAMED} more" if len(wrong) > MOST_NAMED else ""
        raise CertificateFailed(
            shown("; ".join(dict.fromkeys(wrong[:MOST_NAMED]))) + more,
            "Leave the base's files as they are, and add Python packages with pip (docs/derive.md).",
        )
    return dict(names.values())


def _overwritten(changed: Iterable[str], owners: Mapping[str, str]) -> list[str]:
    """The files of the base that are others now; those that a package brought are told with it."""
    by: dict[str, list[str]] = {}
    for path in changed:
        by.setdefault(owners.get(path, ""), []).append(path)
    alone = by.pop("", [])
    wrong = [f"{who} was added, and changed {_files(paths)} of the base: /{paths[0]}" for who, paths in by.items()]
    return wrong + [f"/{path} of the base was changed" for path in alone]


def _files(paths: Collection[str]) -> str:
    return f"{len(paths)} file{'' if len(paths) == 1 else 's'}"


def _is_free(path: str) -> bool:
    return path.startswith(_FREE) or bool(_ACCOUNTS.fullmatch(path))


def _of_new(path: str, files: Mapping[str, File], owned: Collection[str]) -> Iterator[str]:
    """What is wrong with a new file that Python or the loader may find."""
    if not _LOOKED_AT.match(path) or files[path][0] == "folder":
        return
    site = _SITE.match(path)
    if site and _AT_START.match(path, site.end()):
        yield f"/{path} was added, and runs whenever Python starts"
    elif path not in owned and _source(path) not in owned:
        yield f"/{path} was added, and belongs to no package"


def _source(path: str) -> str:
    """The source that byte code is of; empty for what is none."""
    folder, name = posixpath.split(path)
    if posixpath.basename(folder) != "__pycache__" or not name.endswith(".pyc"):
        return ""
    return posixpath.join(posixpath.dirname(folder), name.partition(".")[0] + ".py")


def _record(tree: Tree, about: str) -> Iterator[str]:
    """The files of a package by its RECORD, and that itself."""
    site = posixpath.dirname(about)
    yield from (f"{about}/RECORD", f"{about}/METADATA")
    text = tree.data.get(f"{about}/RECORD", b"").decode("utf-8", "replace")
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error:
        return
    for row in rows:
        path = posixpath.normpath(posixpath.join("/", site, row[0])).lstrip("/") if row else ""
        if path.startswith(ENVIRONMENT):
            yield path


def _hiding(below: Mapping[str, File], new: Iterable[str]) -> list[str]:
    """The new files that Python or a shell finds in place of one of the base."""
    modules = {key: path for path in below if (key := _module(path))}
    programs = {
        posixpath.basename(path): path for path in below if posixpath.dirname(path) in {"usr/bin", "usr/sbin"}
    }
    wrong = []
    for path in new:
        folder, name = posixpath.split(path)
        inside = (modules[each] for each in _folders(path) if each in modules)
        hidden = next(inside, None) or modules.get(_module(path) or "")
        if hidden is None and folder in _SEARCHED:
            hidden = programs.get(name)
        if hidden is None and name.startswith("__init__.") and _SITE.match(path) and folder in below:
            hidden = folder
        if hidden:
            wrong.append(f"/{path} was added, and hides /{hidden} of the base")
    return wrong


def _module(path: str) -> str | None:
    """A module by its folder and name, whatever it is made of; None for what Python does not import."""
    if not path.startswith(("opt/env/lib/", "usr/lib/python3")) or not path.endswith(_MODULE):
        return None
    folder, name = posixpath.split(path)
    return None if folder.endswith("__pycache__") else posixpath.join(folder, name.partition(".")[0])


def _folders(path: str) -> Iterator[str]:
    """The folders of a module that Python would take in place of a file of that name."""
    if path.startswith(("opt/env/lib/", "usr/lib/python3")):
        while path := posixpath.dirname(path):
            yield path


def _named(metadata: bytes) -> tuple[str, str]:
    about = email.parser.BytesHeaderParser().parsebytes(metadata)
    name, version = (str(about.get(field) or "?")[:200] for field in ("Name", "Version"))
    return _normal(name), version


def _normal(name: str) -> str:
    """A name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
