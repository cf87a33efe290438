"""Whether this machine runs programs for another processor: Linux has them run by an emulator (binfmt_misc)."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

REGISTERED = Path("/proc/sys/fs/binfmt_misc")
REMEDY = "Install qemu-user-binfmt (Debian 13; before it qemu-user-static)"
# The processor in an ELF header, at byte 18, little-endian. Source: elf.h.
_ELF = {"x86_64": 62, "aarch64": 183}
_AT = 18


def runs(machine: str, own: str, registered: Path | None = None) -> bool:
    """Return whether a machine with the processor ``own`` runs programs for ``machine``, in any root folder."""
    if machine == own:
        return True
    return any(_runs(entry, _ELF[machine]) for entry in _entries(registered or REGISTERED))


def _entries(registered: Path) -> Iterator[str]:
    """What Linux says of each emulator; nothing where it has none, or cannot have any."""
    for path in sorted(registered.glob("*")):
        with contextlib.suppress(OSError):  # `register` beside them can only be written to
            yield path.read_text(encoding="utf-8", errors="replace")


def _runs(entry: str, processor: int) -> bool:
    """Whether an entry is in force, for this processor, with an emulator that is open already (flag F)."""
    magic = re.search(r"^magic ([0-9a-f]{40,})$", entry, re.MULTILINE)
    flags = re.search(r"^flags: (\w*)$", entry, re.MULTILINE)
    if not entry.startswith("enabled\n") or magic is None or flags is None or "F" not in flags[1]:
        return False
    header = bytes.fromhex(magic[1][: len(magic[1]) // 2 * 2])
    return header[:4] == b"\x7fELF" and int.from_bytes(header[_AT : _AT + 2], "little") == processor
