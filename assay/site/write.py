"""Makes the pages. Each is a file that needs no other: its style and its script stand in it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup
from rich.filesize import decimal

from assay import __version__
from assay.certificate import LEVELS
from assay.doctor.cuda import dotted
from assay.errors import UsageError
from assay.host import files, foreign
from assay.site import doctor, frameworks, image, marks
from assay.site.subject import Subject

_TEMPLATES = Path(__file__).with_name("templates")
GENERATOR = '<meta name="generator" content="assay site">'


@dataclass(frozen=True)
class Site:
    """What a site shows: images, in their order."""

    subjects: tuple[Subject, ...]


def write(site: Site, folder: Path) -> list[Path]:
    """Write the pages of a site into a folder, and return their paths; pages of an older one are removed.

    Raises `UsageError` for a folder that holds anything but a site.
    """
    _require_ours(folder)
    pages = dict(_pages(site))
    for path in folder.rglob("*.html"):
        if path.relative_to(folder).as_posix() not in pages:
            path.unlink()
    for name, text in pages.items():
        files.replace(folder / name, text.encode())
    return [folder / name for name in pages]


def _require_ours(folder: Path) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    index = folder / "index.html"
    if not index.is_file() or GENERATOR not in index.read_text(encoding="utf-8", errors="replace"):
        raise UsageError(f"{folder} holds something else than a site", "Name a new folder, or empty that one.")


def _pages(site: Site) -> Iterable[tuple[str, str]]:
    made = _Templates(site)
    doctors = doctor.words(site.subjects)
    yield "index.html", made.page("index", commands=image.commands(doctors["ranked"][0]), **_claims(site))
    yield "doctor.html", made.page("doctor", script=made.script("doctor.js"), **doctors)
    yield "compare.html", made.page("compare")
    for one in site.subjects:
        yield made.address(one), made.page("image", up="../", one=one, **image.words(one))


def _claims(_: Site) -> dict[str, Any]:
    return {"claims": []}


class _Templates:
    """Jinja2 with what all pages share."""

    def __init__(self, site: Site) -> None:
        self.addresses = _addresses(site.subjects)
        self.style = Markup((_TEMPLATES / "style.css").read_text() + marks.colours())  # noqa: S704 - ours alone
        self.environment = _environment()
        self.environment.globals |= {
            "address": self.address,
            "bytes": _bytes,
            "capabilities": lambda found: ", ".join(map(dotted, sorted(found))),
            "count": _count,
            "dotted": dotted,
            "generator": Markup(GENERATOR),
            "levels": LEVELS,
            "look": frameworks.look,
            "newest": max(each.created for one in site.subjects for each in one.certificates)[:10],
            "published": all(one.published for one in site.subjects),
            "shape": marks.shape,
            "sized": all(one.size for one in site.subjects),
            "style": self.style,
            "style_of": frameworks.style_of,
            "subjects": site.subjects,
            "version": __version__,
        }

    def page(self, name: str, script: Markup = Markup(), up: str = "", **words: Any) -> str:
        """A page by its template; ``up`` leads from its folder to the top."""
        policy = _policy(self.style, script)
        template = self.environment.get_template(f"{name}.html")
        return str(template.render(page=name, policy=policy, script=script, up=up, **words))

    def script(self, name: str) -> Markup:
        """A script of ours, as it stands in a page."""
        return Markup((_TEMPLATES / name).read_text())  # noqa: S704 - ours alone

    def address(self, one: Subject) -> str:
        """Where the page of an image is, from the top."""
        return self.addresses[one.name]


def _environment() -> Any:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ModuleNotFoundError:
        raise UsageError("Jinja2 is not installed, and a site is made with it", "pip install 'assay[site]'") from None
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_shown,
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )


def _shown(value: object) -> object:
    """Whatever stands in a page, but our own Markup: nothing in it turns the order of letters around."""
    return foreign.lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _policy(style: str, script: str) -> str:
    """What a page may do: be drawn by its own style, run its own script, and ask nobody for anything."""
    allowed = f"script-src '{_hash(script)}'; " if script else ""
    return f"default-src 'none'; style-src '{_hash(style)}'; {allowed}img-src data:; base-uri 'none'; form-action 'none'"


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _addresses(subjects: Iterable[Subject]) -> dict[str, str]:
    """A file's name for each image, whatever that is called: letters, digits and hyphens, and no two alike."""
    found: dict[str, str] = {}
    for one in subjects:
        word = re.sub(r"[^a-z0-9]+", "-", one.name.lower())[:80].strip("-") or "image"
        taken = {path.removeprefix("images/").removesuffix(".html") for path in found.values()}
        several = [word, *(f"{word}-{number}" for number in range(2, len(taken) + 3))]
        found[one.name] = f"images/{next(each for each in several if each not in taken)}.html"
    return found


def _bytes(size: int | None) -> str:
    return decimal(size, precision=2) if size else "not known"


def _count(number: int, thing: str, things: str = "") -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {things or thing + 's'}"
