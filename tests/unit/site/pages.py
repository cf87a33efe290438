"""A page as a parser reads it: its elements, its links, its text."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path


@dataclass
class Page(HTMLParser):
    """``tags`` are (name, names of attributes) of each element that begins; ``text`` is what a reader sees."""

    path: Path
    tags: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.feed(self.path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, tuple(sorted(given))))
        self.links += [given[name] or "" for name in ("href", "src", "action") if name in given]
        self.ids += [given["id"] or ""] if "id" in given else []
        self.inside = [tag] if tag in {"style", "script"} else self.inside

    def handle_endtag(self, tag: str) -> None:
        self.inside = [] if tag in self.inside else self.inside
        self.text += " " if tag in {"td", "th", "dt", "dd", "p", "li", "h1", "h2", "h3"} else ""

    def handle_data(self, data: str) -> None:
        self.text += "" if self.inside else data


def whole(folder: Path) -> list[Page]:
    """The pages of a site, after a look that each link leads to a page of it, and to a place that is there."""
    pages = {path.resolve(): Page(path) for path in sorted(folder.rglob("*.html"))}
    for path, page in pages.items():
        for link in page.links:
            name, _, place = link.partition("#")
            if link == "data:,":  # the icon: none
                continue
            target = (path.parent / name).resolve() if name else path
            assert target in pages, f"{path.name} leads to {link}"
            assert not place or place in pages[target].ids, f"{path.name} leads to {link}"
        assert len(set(page.ids)) == len(page.ids), f"{path.name} has two places of one name"
    return list(pages.values())
