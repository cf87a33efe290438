"""What uv does, for an index of three packages."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement

from assay import catalog, lock
from assay.catalog import Catalog
from assay.catalog.pins import read_pins
from assay.host.process import Completed

UNREACHABLE = """\
error: Failed to fetch: http://127.0.0.1:9/simple/six/
  cause: error sending request for url (http://127.0.0.1:9/simple/six/)
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)
"""
# What the index holds: versions, oldest first, and what each needs.
INDEX: dict[str, list[str]] = {"cuda-lib": ["1.0", "1.1"], "torch": ["2.0", "2.1"], "six": ["1.16", "1.17"]}
NEEDS = {"torch": "cuda-lib>=1.0"}


def digest(name: str, version: str, file: str = "wheel") -> str:
    return "sha256:" + f"{name}{version}{file}".encode().hex().ljust(64, "0")[:64]


class Resolver:
    """Does what uv does, for an index of three packages; remembers how it was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], Mapping[str, str]]] = []
        self.index = {name: list(versions) for name, versions in INDEX.items()}
        self.files = ["wheel"]
        self.answer: Completed | None = None

    def __call__(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout: float) -> Completed:
        self.calls.append((list(argv), env))
        if self.answer is not None:
            return self.answer
        words = list(argv)
        output = cwd / words[words.index("--output-file") + 1]
        stacks = [cwd / word for word in words[4 : words.index("--output-file")]]
        asked = [
            Requirement(line.split("#")[0]) for line in (cwd / words[3]).read_text().splitlines() if line[0] != "#"
        ]
        asked += [Requirement(f"{n}=={p.version}") for path in stacks for n, p in read_pins(path).items()]
        asked += [Requirement(NEEDS[item.name]) for item in asked if item.name in NEEDS]
        before = dict(re.findall(r"^(\S+)==(\S+)", output.read_text(), re.MULTILINE))
        hashes = {line.split("==")[0]: re.findall(r"sha256:\w+", line) for line in output.read_text().splitlines()}
        lines = []
        for name in sorted({item.name for item in asked}):
            fits = [
                version
                for version in self.index[name]
                if all(version in item.specifier for item in asked if item.name == name)
            ]
            version = before[name] if before.get(name) in fits else fits[-1]
            known = hashes.get(name) if before.get(name) == version else None
            known = known or [digest(name, version, file) for file in self.files]
            lines += [f"{name}=={version} \\", *(f"    --hash={value} \\" for value in known)]
            lines[-1] = lines[-1].removesuffix(" \\")
            lines.append(f"    # via -r {words[3]}")
        output.write_text("\n".join(lines) + "\n")
        return Completed(0, "", "")


def read(root: Path) -> Catalog:
    return catalog.load(root, locked=False)


def write_locks(root: Path, *names: str, upgrade: bool = False) -> list[lock.Result]:
    return lock.lock(root, names, upgrade=upgrade)


def checked(root: Path, *names: str) -> list[lock.Result]:
    return lock.check(root, names)


def edit(root: Path, name: str, old: str, new: str) -> None:
    path = root / "images" / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
