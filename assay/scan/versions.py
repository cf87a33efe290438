"""The order of versions, as each ecosystem has it: packaging's for PyPI, and Debian's policy for Debian."""

from __future__ import annotations

from typing import Any

from debian_inspector.version import Version as DebianVersion  # type: ignore[import-untyped]
from packaging.version import InvalidVersion, Version

PYPI, DEBIAN = "PyPI", "Debian"


def parsed(ecosystem: str, text: str) -> Any:
    """Return a version that can be compared with others of its ecosystem. Raises `ValueError` for what is none."""
    if ecosystem == PYPI:
        try:
            # An advisory knows no local versions, such as 2.3.1+cu121: whatever was built of 2.3.1 is 2.3.1.
            return Version(Version(text).public)
        except InvalidVersion as error:
            raise ValueError(str(error)) from None
    return DebianVersion.from_string(text)
