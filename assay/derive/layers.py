"""The files of an image, layer by layer, laid on each other as an engine does. Nothing of the image runs for it.

Each layer is held to its DiffID: what is read here is what a container sees.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO

from assay.derive.image import DerivedImage
from assay.engine import Engine
from assay.errors import VerificationFailed
from assay.host import tars
from assay.host.tars import Member
from assay.registry import unpacked

STEP = 2**20
MOST_LINKS = 40  # on the way to one file, as the kernel has it
MOST_KEPT = 2**28  # bytes of all files of a layer whose content is kept
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
_KEPT = re.compile(r"(\.?/)?(opt/assay/.*|opt/env/lib/python3\.\d+/site-packages/[^/]+\.dist-info/(METADATA|RECORD))")

File = tuple[str, str]  # its kind, and its content's SHA-256 or where it leads, as `Member` has them


@dataclass
class Tree:
    """The files that are there, by path, and the content of those that is kept."""

    files: dict[str, File] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)

    def copy(self) -> Tree:
        """The same, to lay more on it."""
        return Tree(dict(self.files), dict(self.data))

    def lay(self, layer: Sequence[Member]) -> None:
        """Lay a layer on what is there. A whiteout removes what lies below the layer, and nothing of the layer."""
        own: set[str] = set()
        below = dict.fromkeys(self.files)
        for member in layer:
            path = self._path(member.path)
            folder, name = posixpath.split(path)
            if name == OPAQUE:
                self._remove(folder + "/" if folder else "", below, own)
            elif name.startswith(WHITEOUT):
                gone = posixpath.join(folder, name.removeprefix(WHITEOUT))
                self._drop(gone)
                self._remove(gone + "/", below, own)
            elif path:
                self._put(path, member)
                own.add(path)

    def _put(self, path: str, member: Member) -> None:
        there = self.files.get(path)
        if there and there[0] == "folder" and member.kind != "folder":
            self._remove(path + "/", dict.fromkeys(self.files), set())
        self._drop(path)
        if member.kind == "hard link":
            other = self._path(member.what)
            self.files[path] = self.files.get(other, ("other", member.what))
            if other in self.data:
                self.data[path] = self.data[other]
            return
        self.files[path] = (member.kind, member.what)
        if member.data:
            self.data[path] = member.data

    def _drop(self, path: str) -> None:
        self.files.pop(path, None)
        self.data.pop(path, None)

    def _remove(self, beginning: str, below: dict[str, None], own: set[str]) -> None:
        for path in [each for each in below if each.startswith(beginning) and each not in own]:
            self._drop(path)

    def _path(self, name: str) -> str:
        """Where a file of this name lies: the folders on its way may be links, its own last part is not followed."""
        left = [part for part in posixpath.normpath(f"/{name}").split("/") if part][::-1]
        done: list[str] = []
        links = 0
        while left:
            part = left.pop()
            if part == "..":
                done = done[:-1]
                continue
            kind, target = self.files.get("/".join([*done, part]), ("", ""))
            if left and kind == "link" and links < MOST_LINKS:
                links += 1
                done = [] if target.startswith("/") else done
                left += [each for each in target.split("/") if each not in {"", "."}][::-1]
                continue
            done.append(part)
        return "/".join(done)


def trees(engine: Engine, image: DerivedImage, base: int, tell: Callable[[str], None]) -> tuple[Tree, Tree]:
    """The files of the lowest ``base`` layers, and those of all; raises `VerificationFailed` for another DiffID."""
    types = dict(image.layers)
    wanted = {digest: diff_id for (digest, _), diff_id in zip(image.layers, image.diff_ids, strict=True)}
    read: dict[str, list[Member]] = {}
    for digest, file in engine.content(image.reference, list(types)):
        tell(f"reading its layers ({len(read) + 1} of {len(types)})")
        read[digest] = _members(file, types[digest], wanted[digest])
    below, at = Tree(), 0
    for at, (digest, _) in enumerate(image.layers):
        if at == base:
            break
        below.lay(read[digest])
    whole = below.copy()
    for digest, _ in image.layers[base:]:
        whole.lay(read[digest])
    return below, whole


def _members(file: IO[bytes], media_type: str, diff_id: str) -> list[Member]:
    hashed, kept, found = hashlib.sha256(), 0, []

    def pieces() -> Iterator[bytes]:
        for piece in unpacked(iter(lambda: file.read(STEP), b""), media_type):
            hashed.update(piece)
            yield piece

    for member in tars.members(pieces(), lambda name: bool(_KEPT.fullmatch(name))):
        kept += len(member.data)
        if kept > MOST_KEPT:
            raise VerificationFailed("a layer has more of the packages' own files than are read", "Do not use it.")
        found.append(member)
    if f"sha256:{hashed.hexdigest()}" != diff_id:
        raise VerificationFailed(
            f"a layer unpacks to other content than its image says ({diff_id[:19]})", "Do not use the image."
        )
    return found
