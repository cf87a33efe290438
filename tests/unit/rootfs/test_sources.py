"""Which lines of apt's go to which archive."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from assay import catalog
from assay.catalog.platforms import ARM64
from assay.engine import apt
from assay.errors import UsageError
from assay.host import machine
from assay.rootfs import sources
from tests.unit.rootfs.known import RESOLVED

HOSTS = [
    ("http://a.example/debian/", "bookworm-updates", "main"),
    ("http://a.example/debian/", "bookworm", "contrib"),
    ("http://a.example/debian/", "bookworm", "main"),
    ("http://a.example/security/", "bookworm-security", "main"),
    ("http://other.example/", "stable", "main"),
]


@pytest.fixture
def bookworm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Debian 12 host."""
    monkeypatch.setattr(apt, "host_codename", lambda: "bookworm")
    monkeypatch.setattr(apt, "host_sources", lambda: HOSTS)
    monkeypatch.delenv("ASSAY_DEBIAN_SOURCES", raising=False)
    monkeypatch.delenv("ASSAY_DEBIAN_ARCHIVES", raising=False)


@pytest.fixture
def tools(image: catalog.Image) -> catalog.Image:
    extras = catalog.Tools(suite="trixie", components=("main", "non-free"), unpack=("headers",), sources=("hello",))
    return dataclasses.replace(image, tools=extras)


def test_the_hosts_mirror_for_another_suite(image: catalog.Image, bookworm: None) -> None:
    assert sources.mirror(image).lines == (
        "deb http://a.example/debian/ trixie main",
        "deb http://a.example/debian/ trixie-updates main",
        "deb http://a.example/security/ trixie-security main",
    )


def test_build_tools_ask_for_their_components_and_sources(tools: catalog.Image, bookworm: None) -> None:
    lines = sources.mirror(tools).lines
    assert lines[0] == "deb http://a.example/debian/ trixie main non-free"
    assert lines[3] == "deb-src http://a.example/debian/ trixie main non-free"
    assert len(lines) == 6


def test_a_host_that_is_no_debian_is_asked_for_a_mirror(
    image: catalog.Image, bookworm: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(apt, "host_codename", lambda: "noble")
    with pytest.raises(UsageError, match="names no mirror of Debian") as caught:
        sources.mirror(image)
    assert "ASSAY_DEBIAN_SOURCES" in str(caught.value)
    (tmp_path / "list").write_text("deb http://b.example/debian trixie main\n")
    monkeypatch.setenv("ASSAY_DEBIAN_SOURCES", str(tmp_path / "list"))
    assert sources.mirror(image).lines == ("deb http://b.example/debian trixie main",)


def test_the_public_archives(image: catalog.Image, tools: catalog.Image, bookworm: None) -> None:
    past, old = sources.snapshot(image, RESOLVED), sources.old_releases(tools)
    assert past is not None
    assert old is not None
    assert all("/20261120T060708Z/ trixie" in line for line in past.lines)
    assert len(past.lines) == 3
    assert past.past
    assert not old.past
    for archive in (past, old):
        assert archive.public
        assert all("[check-valid-until=no]" in line for line in archive.lines)
        assert not any("trusted" in line or "{" in line for line in archive.lines), "signatures are checked"
    assert [line.split()[0] for line in old.lines] == ["deb", "deb", "deb-src", "deb-src"]
    assert "check-valid-until" not in "".join(sources.mirror(image).lines), "nowhere else"
    assert sources.snapshot(image, None) is None


def test_other_public_archives_or_none(image: catalog.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_DEBIAN_ARCHIVES", "none")
    assert sources.snapshot(image, RESOLVED) is None
    assert sources.old_releases(image) is None
    path = tmp_path / "archives.toml"
    path.write_text('snapshot = ["deb http://b.example/{time} {suite} {components}"]\n')
    monkeypatch.setenv("ASSAY_DEBIAN_ARCHIVES", str(path))
    past = sources.snapshot(image, RESOLVED)
    assert past is not None
    assert past.lines == ("deb http://b.example/20261120T060708Z trixie main",)
    assert sources.old_releases(image) is None


@pytest.mark.parametrize(
    "text", [None, "snapshot = 1", "other = []", 'old = ["http://a.example"]', "\x00", "[" * 9999]
)
def test_a_file_of_archives_that_is_none(
    image: catalog.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    path = tmp_path / "archives.toml"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv("ASSAY_DEBIAN_ARCHIVES", str(path))
    with pytest.raises(UsageError, match="ASSAY_DEBIAN_ARCHIVES") as caught:
        sources.snapshot(image, RESOLVED)
    assert len(str(caught.value).splitlines()) == 2


def test_sources_of_ones_own(image: catalog.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sources.list"
    ours = ("deb [signed-by=/k.gpg] http://c.example trixie main", "deb http://c.example trixie-security main")
    path.write_text("\n".join(["# ours", *ours, "deb http://c.example bookworm main", ""]))
    monkeypatch.setenv("ASSAY_DEBIAN_SOURCES", str(path))
    assert sources.mirror(image).lines == ours
    path.write_text("deb http://c.example bookworm main\n")
    with pytest.raises(UsageError, match="has no line for trixie"):
        sources.mirror(image)
    path.unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        sources.mirror(image)


UNSIGNED = [
    "trusted=yes",
    " signed-by=/k.gpg  trusted=yes ",
    "arch=amd64\ttrusted=true",
    "allow-insecure=yes",
    "allow-weak=yes",
    "allow-downgrade-to-insecure=yes",
    "TRUSTED=yes",
    "trusted+=yes",
    "check-date=no",
    "inrelease-path=elsewhere",
    'signed-by="/k.gpg trusted=yes',
    "something",
]


@pytest.mark.parametrize("option", UNSIGNED)
@pytest.mark.parametrize("kind", ["deb", "deb-src"])
def test_an_archive_that_nobody_has_to_sign_is_refused(
    image: catalog.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, kind: str
) -> None:
    path = tmp_path / "sources"
    line = f"{kind} [{option}] http://c.example trixie main"
    path.write_text(f"deb http://c.example trixie main\n{line}\n")
    monkeypatch.setenv("ASSAY_DEBIAN_SOURCES", str(path))
    with pytest.raises(UsageError, match=r"ASSAY_DEBIAN_SOURCES.*that nobody has signed") as caught:
        sources.mirror(image)
    assert len(str(caught.value).splitlines()) == 2
    path.write_text(f"old = [{json.dumps(line)}]\n")
    monkeypatch.setenv("ASSAY_DEBIAN_ARCHIVES", str(path))
    with pytest.raises(UsageError, match=r"ASSAY_DEBIAN_ARCHIVES.*that nobody has signed"):
        sources.old_releases(image)


@pytest.mark.parametrize(
    "option", ["", "arch=amd64 signed-by=/k.gpg", "check-valid-until=no", "lang+=en by-hash=force"]
)
def test_options_with_which_signatures_count_are_taken(
    image: catalog.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    path = tmp_path / "sources"
    line = f"deb [{option}] http://c.example trixie main"
    path.write_text(f"{line}\n")
    monkeypatch.setenv("ASSAY_DEBIAN_SOURCES", str(path))
    assert sources.mirror(image).lines == (line,)


def test_lines_for_another_processor(
    image: catalog.Image, bookworm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "architecture", lambda: "x86_64")
    other = dataclasses.replace(image, built_for=ARM64)
    assert all(" [arch=arm64] http" in line for line in sources.mirror(other).lines)
    assert not any("[" in line for line in sources.mirror(image).lines)
    chosen = tmp_path / "sources.list"
    chosen.write_text("deb [signed-by=/k.gpg arch=amd64] http://b.example/ trixie main\n")
    monkeypatch.setenv(sources.SOURCES, str(chosen))
    assert sources.mirror(other).lines == ("deb [signed-by=/k.gpg arch=arm64] http://b.example/ trixie main",)
