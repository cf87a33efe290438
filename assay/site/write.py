"""Makes the pages. Each is a file that needs no other: its style and its script stand in it."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from assay.certificate import LEVELS
from assay.compare import Comparison
from assay.doctor.cuda import dotted
from assay.errors import UsageError
from assay.host import files, foreign
from assay.host.release import version
from assay.site import comparison, doctor, frameworks, image, marks, picture, told, units
from assay.site.subject import Subject

_TEMPLATES = Path(__file__).with_name("templates")
_NO_SCRIPT = Markup()
GENERATOR = Markup('<meta name="generator" content="assay site">')


@dataclass(frozen=True)
class Site:
    """What a site shows: images, in their order, and what was measured with them in the checkout ``root``.

    A site of a registry's images has neither comparison nor root.
    """

    subjects: tuple[Subject, ...]
    comparison: Comparison | None = None
    root: Path = Path()


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
    made = _Pages(site)
    doctors = doctor.words(site.subjects)
    claims = comparison.claims(site.comparison)
    drawn = picture.picture(site.comparison) if site.comparison else ""
    yield (
        "index.html",
        made.page("index", commands=image.commands(doctors["ranked"][0]), claims=claims, picture=drawn),
    )
    yield "doctor.html", made.page("doctor", script=_ours("doctor.js"), **doctors)
    for one in site.subjects:
        yield made.addresses[one.name], made.page("image", up="../", one=one, **image.words(one))
    if site.comparison is None:
        yield "compare.html", made.page("compare", comparison=None)
        return
    if drawn := picture.alone(site.comparison):
        yield picture.FILE, drawn
    measured = comparison.words(site.comparison, site.root)
    yield "compare.html", made.page("compare", **measured)
    for each in measured["questions"]:
        if each["measured"]:
            address = f"compare/{each['question'].name}.html"
            yield address, made.page("question", up="../", one=each, **each)


class _Pages:
    """The templates, with what all pages share."""

    def __init__(self, site: Site) -> None:
        self.addresses = _addresses(site.subjects)
        self.style = _ours("style.css") + Markup(marks.colours())  # noqa: S704 - ours alone
        self.environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            finalize=_shown,
            lstrip_blocks=True,
            trim_blocks=True,
            undefined=StrictUndefined,
        )
        self.environment.globals |= {
            "address": lambda one: self.addresses[one.name],
            "addresses": self.addresses,
            "amount": comparison.amount,
            "bytes": units.size,
            "capabilities": lambda found: ", ".join(map(dotted, sorted(found))),
            "count": _count,
            "dotted": dotted,
            "facts": comparison.facts,
            "generator": GENERATOR,
            "levels": LEVELS,
            "look": frameworks.look,
            "newest": max(each.created for one in site.subjects for each in one.certificates)[:10],
            "published": all(one.published for one in site.subjects),
            "shape": marks.shape,
            "sized": all(one.size for one in site.subjects),
            "span": units.span,
            "style": self.style,
            "style_of": frameworks.style_of,
            "subjects": site.subjects,
            "version": version(),
            "words_of": told.words,
        }

    def page(self, name: str, script: Markup = _NO_SCRIPT, up: str = "", **words: Any) -> str:
        """A page by its template; ``up`` leads from its folder to the top."""
        template = self.environment.get_template(f"{name}.html")
        return template.render(page=name, policy=_policy(self.style, script), script=script, up=up, **words)


def _ours(name: str) -> Markup:
    """A style or a script of ours, as it stands in a page."""
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704 - ours alone


def _shown(value: object) -> object:
    """Whatever stands in a page, but our own Markup: nothing in it turns the order of letters around."""
    return foreign.lines(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _policy(style: str, script: str) -> str:
    """What a page may do: be drawn by its own style, run its own script, and ask nobody for anything."""
    rules = {
        "default-src": "'none'",
        "style-src": _hash(style),
        "script-src": _hash(script) if script else "'none'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _addresses(subjects: Iterable[Subject]) -> dict[str, str]:
    """A file's name for each image, whatever that is called: letters, digits and hyphens, and no two alike."""
    found: dict[str, str] = {}
    for one in subjects:
        word = re.sub(r"[^a-z0-9]+", "-", one.name.lower())[:80].strip("-") or "image"
        several = [word, *(f"{word}-{number}" for number in range(2, len(found) + 2))]
        found[one.name] = next(path for each in several if (path := f"images/{each}.html") not in found.values())
    return found


def _count(number: int, thing: str, things: str = "") -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {things or thing + 's'}"
