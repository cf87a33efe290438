"""`assay outdated`: what it prints, and when it ends with 1."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from assay import lock, rootfs
from assay.catalog import Image
from assay.lock import Newer, Yanked
from assay.rootfs import PackagesLock, Update
from tests.unit.cli.ran import Ran

SECURE = Update("libexpat1", "2.7.1-2", "2.7.1-2+deb13u1", security=True, cves=("CVE-2025-59375",))
OTHER = Update("tzdata", "2025a-1", "2025b-1")


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Update]]:
    """What the archive has, by the base that asks for it, once each."""
    answers: dict[str, list[Update]] = {"base/trixie": [SECURE, OTHER]}

    def updates(image: Image, locked: PackagesLock, tell: Callable[[str], None]) -> Iterable[Update]:
        return answers.pop(image.name)

    monkeypatch.setattr(rootfs, "updates", updates)
    monkeypatch.setattr(lock, "newer", lambda image: ([Newer("six", "1.16", "1.17")], [Yanked("torch", "2.0", "")]))
    return answers


def test_a_security_update_that_waits_ends_with_1(assay_: Callable[..., Ran], found: dict[str, list[Update]]) -> None:
    ran = assay_("outdated")
    assert ran.code == 1
    assert "security libexpat1 2.7.1-2 -> 2.7.1-2+deb13u1  CVE-2025-59375" in ran.out
    assert "torchy: six 1.16 -> 1.17" in ran.out
    assert "plain: torch 2.0 was withdrawn: no reason given" in ran.out
    assert "1 security update waits in base/trixie" in ran.err


def test_other_updates_are_no_error(assay_: Callable[..., Ran], found: dict[str, list[Update]]) -> None:
    found["base/trixie"] = [OTHER]
    assert assay_("outdated", "torchy").code == 0


def test_as_json(assay_: Callable[..., Ran], found: dict[str, list[Update]]) -> None:
    path = Path("images/base/trixie/packages.lock")
    day = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=40)
    path.write_text(f"# resolved {day:%Y-%m-%dT%H:%M:%SZ}\n" + path.read_text())
    (row,) = json.loads(assay_("outdated", "torchy", "--json").out)
    assert (row["image"], row["base"], row["age_days"]) == ("torchy", "base/trixie", 40)
    assert [one["cves"] for one in row["security"]] == [["CVE-2025-59375"]]
    assert [one["package"] for one in row["updates"]] == ["tzdata"]


def test_an_unknown_image_is_refused_before_anything_is_asked(
    assay_: Callable[..., Ran], found: dict[str, list[Update]]
) -> None:
    assay_("outdated", "torchi").refused(2, "Did you mean torchy")
    assert found
