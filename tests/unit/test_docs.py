"""What the README, CONTRIBUTING and docs/ name is there: links, files, commands, options, targets and sessions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from assay.cli import cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture(params=PAGES, ids=lambda path: path.name)
def page(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def anchors(page: Path) -> set[str]:
    """The names that a forge gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\[[^\]]*\]\(([^)]+)\)", page.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


NAMED = re.compile(r"`((?:assay|smoke|images|tests|bench|docs|certificates)/[\w./-]*)`")
# In a block, a word of a command; assay/NAME is an image there.
PASTED = re.compile(r"(?<![\w/.-])((?:smoke|images|tests|bench|docs|certificates)/[\w./-]*)")


def blocks(text: str) -> str:
    """What a page has between its fences."""
    return "\n".join(re.findall(r"^```.*?^```$", text, re.MULTILINE | re.DOTALL))


def test_files_are_there(page: Path) -> None:
    text = page.read_text()
    for name in [*NAMED.findall(text), *PASTED.findall(blocks(text))]:
        is_image = name.startswith("assay/") and (ROOT / "images" / name.removeprefix("assay/")).is_dir()
        assert (ROOT / name).exists() or is_image or "/example" in name, name


INLINE = re.compile(r"`(?:\.venv/bin/)?assay ([^`\n]+)`")
LINE = re.compile(r"^\s*(?:\$ )?(?:\.venv/bin/)?assay ([^\n#]+)", re.MULTILINE)


def commands(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """The commands of assay in a text, as (words, options)."""
    for line in [*INLINE.findall(text), *LINE.findall(text)]:
        words = line.split()
        yield words, [word.partition("=")[0] for word in words if re.fullmatch(r"--[a-z-]+(=.*)?", word)]


def command_of(words: list[str]) -> click.Command | None:
    """The command that the words begin with."""
    command: click.Command | None = cli
    for word in words:
        if word.startswith("-") or not isinstance(command, click.Group):
            break
        command = command.get_command(click.Context(command), word)
    return command


def test_commands_and_their_options_are_there(page: Path) -> None:
    for words, options in commands(page.read_text()):
        command = command_of(words)
        assert command is not None, words
        known = {name for each in command.params for name in each.opts} | {"--help", "--version"}
        assert set(options) <= known, words


def test_targets_and_sessions_are_there(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    noxfile = (ROOT / "noxfile.py").read_text()
    sessions = set(re.findall(r"^def (\w+)\(session", noxfile, re.MULTILINE))
    sessions |= set(re.findall(r'@nox\.session\(name="([\w-]+)"\)', noxfile))
    assert {"build-all", "test"} <= targets
    assert {"smoke", "tests"} <= sessions
    assert set(re.findall(r"[`$] ?make ([a-z-]+)", text)) <= targets
    assert set(re.findall(r"nox -s ([\w-]+)", text)) <= sessions


def test_the_texts_name_commands_at_all() -> None:
    """So that a pattern that finds nothing is no proof."""
    found = [words[0] for page in PAGES for words, _ in commands(page.read_text())]
    assert {"build", "smoke", "verify", "publish", "doctor"} <= set(found)
    assert PASTED.findall(blocks((ROOT / "docs/add-a-framework.md").read_text()))
