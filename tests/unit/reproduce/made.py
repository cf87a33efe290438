"""Layers and commits, made here."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any

COMMIT = "c" * 40


def layer(**files: str | tuple[str, dict[str, Any]]) -> bytes:
    """A tar with these files: their text, or (text, what else is special about them)."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, said in files.items():
            text, special = (said, {}) if isinstance(said, str) else said
            member = tarfile.TarInfo(name)
            member.size = len(text)
            for key, value in special.items():
                setattr(member, key, value)
            archive.addfile(member, io.BytesIO(text.encode()))
    return made.getvalue()


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()
