"""How files below ``images/`` are read, and how messages name them."""

from __future__ import annotations

from pathlib import Path

from assay.errors import UsageError

IMAGES = "images"


def read_text(path: Path, shown: str) -> str:
    """Return the text of a file; `UsageError` names it as ``shown`` if it cannot be read or is not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown} is not UTF-8: {error.reason} at byte {error.start}", "Save it as UTF-8.") from None
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror}", "Make it a file that you may read.") from None


def present(path: Path) -> Path | None:
    """Return the path if something is there."""
    return path if path.exists() else None


def relative(path: Path, root: Path) -> str:
    """Return a path as messages show it: relative to the repository."""
    return path.relative_to(root).as_posix()


def toml_of(name: str) -> str:
    """Return the path of an image's image.toml, as messages show it."""
    return f"{IMAGES}/{name}/image.toml"


def described(root: Path) -> list[str]:
    """Return the framework images of a checkout, built or not, with their variants; none without one."""
    top = root / IMAGES
    frameworks = [path.parent for path in top.glob("*/image.toml")]
    variants = [path.parent for folder in frameworks for path in folder.glob("*/image.toml")]
    return [folder.relative_to(top).as_posix() for folder in (*frameworks, *variants)]
