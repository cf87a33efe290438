"""`assay site`: of a checkout, of a registry, and what it refuses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import assay
from assay import certificate
from tests import published
from tests.fake_registry import FakeRegistry, serving
from tests.unit.cli.ran import Ran


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def key(tmp_path: Path) -> str:
    path = tmp_path / "key.pub"
    path.write_bytes(published.key().public.pem())
    return str(path)


def test_a_site_of_a_checkout(assay_: Callable[..., Ran], out: Path) -> None:
    kept = Path("certificates/one/cpu.json")
    kept.parent.mkdir(parents=True)
    certificate.write(kept, published.evidence())
    ran = assay_("site", "--out", str(out))
    assert ran.code == 0, ran.err
    assert ran.out.startswith("4 pages, ")
    assert str(out / "index.html") in ran.out
    assert [path.stem for path in (out / "images").iterdir()] == [published.name()]


def test_a_site_of_images_in_a_registry(
    assay_: Callable[..., Ran], out: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It needs no checkout; levels, sizes and the place to pull from are the registry's."""
    monkeypatch.chdir("/")
    with serving(FakeRegistry()) as fake:
        made = published.fresh()
        published.put(fake.host, made)
        ran = assay_("site", str(published.reference(fake.host)), "--key", key, "--out", str(out))
    assert ran.code == 0, ran.err
    page = (out / f"images/{published.name()}.html").read_text()
    assert f"IMAGE={fake.host}/team/{published.name()}@{made.digest}" in page
    assert "<strong>E2</strong> on the CPU" in page
    assert "not known" not in page
    assert "images in a registry" in (out / "compare.html").read_text()


def test_images_that_do_not_verify_make_no_site(assay_: Callable[..., Ran], out: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pub"
    other.write_bytes(published.key(2).public.pem())
    with serving(FakeRegistry()) as fake:
        published.put(fake.host, published.fresh())
        ran = assay_("site", str(published.reference(fake.host)), "--key", str(other), "--out", str(out))
    ran.refused(5, "signed with another key")
    assert not out.exists()


def test_what_is_wrong_on_the_command_line(assay_: Callable[..., Ran], out: Path) -> None:
    assay_("site", "registry.example/team/one", "--out", str(out)).refused(2, "Name the publisher's key with --key")
    assay_("site", "--out", str(out)).refused(2, "there are no certificates here")
    assert not out.exists()


def test_without_jinja2_it_says_what_to_install(
    assay_: Callable[..., Ran], out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "jinja2" or name.startswith("assay.site")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(assay, "site", raising=False)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assay_("site", "--out", str(out)).refused(2, "Jinja2 is not installed", "pip install 'assay[site]'")
