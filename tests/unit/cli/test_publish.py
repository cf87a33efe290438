"""The commands about published images: keygen and verify. (publish needs an engine: tests/integration.)"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from assay import certificate, cli
from tests import published
from tests.fake_registry import FakeRegistry, serving
from tests.unit.cli.ran import Ran


@pytest.fixture
def verify(assay_: Callable[..., Ran], tmp_path: Path) -> Iterator[Callable[..., Ran]]:
    """`assay verify` of an image that is published with its certificate."""
    (tmp_path / "key.pub").write_bytes(published.key().public.pem())
    with serving(FakeRegistry()) as fake:
        published.put(fake.host, published.fresh())
        reference = str(published.reference(fake.host))
        yield lambda *options: assay_("verify", reference, "--key", str(tmp_path / "key.pub"), *options)


@pytest.mark.parametrize("options", [(), ("--layers",), ("--plain-http", "--max-age", "0", "--require", "E1")])
def test_an_image_that_holds(verify: Callable[..., Ran], options: tuple[str, ...]) -> None:
    ran = verify(*options)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].endswith(json.loads(verify(*options, "--json").out)["digest"])
    assert lines[1] == "  platform     linux/amd64"
    assert lines[2].startswith("  certificate  cpu: E2, everyday, made ")
    assert lines[-1] == f"  holds: {published.name()}, E2"


def test_an_image_that_does_not(verify: Callable[..., Ran]) -> None:
    ran = verify("--require", "E4")
    assert ran.code == 5
    assert [line for line in ran.out.splitlines() if line.startswith("  WRONG        ") and "E4" in line]
    assert "holds" not in ran.out
    ran.refused(5)


def test_a_wrong_key_is_two_lines(verify: Callable[..., Ran], tmp_path: Path) -> None:
    verify()
    (tmp_path / "key.pub").write_bytes(published.key(2).public.pem())
    ran = verify()
    assert ran.out == ""
    ran.refused(5, "no certificate of this image is signed with this key", "another key", "Name the publisher's key")
    told = json.loads(verify("--json").out)
    assert len(told["problems"]) == 1
    assert told["ignored"]


def test_the_name_that_is_asked_for(verify: Callable[..., Ran]) -> None:
    held = verify("--name", published.name())
    assert held.out.splitlines()[-1] == f"  holds: {published.name()}, E2"
    other = verify("--name", "another")
    assert f"  WRONG        another was asked for, and the certificate is of {published.name()}" in other.out
    other.refused(5, "another was asked for")


def test_the_levels_that_verify_takes_are_those_that_there_are() -> None:
    (require,) = [option for option in cli.cli.commands["verify"].params if option.name == "require"]
    assert isinstance(require.type, click.Choice)
    assert list(require.type.choices) == list(certificate.LEVELS)


def test_keygen(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_PASSWORD", "a password")
    ran = assay_("keygen", "--out", "mine")
    assert ran.code == 0
    assert ran.out == "mine.key: keep it, and its password, to yourself\nmine.pub: give it out\n"
    assert Path("mine.key").stat().st_mode & 0o77 == 0


@pytest.mark.parametrize("password", ["", "x", "1234567"])
def test_a_password_that_is_guessed_soon(
    assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("ASSAY_PASSWORD", password)
    assay_("keygen").refused(2, "the password is empty" if not password else "fewer than 8 characters")
    assert not Path("assay.key").exists()


def test_without_a_password_and_a_terminal_there_is_no_key(
    assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASSAY_PASSWORD", raising=False)
    assay_("keygen").refused(2, "the key's password is wanted, and this is no terminal", "Set ASSAY_PASSWORD")
    assert not Path("assay.key").exists()
