"""The CVEs that a changelog names above a version, written as Debian writes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.rootfs.updates import cves

CHANGELOG = """\
expat (2.7.1-2+deb13u1) trixie-security; urgency=high

  * Fix CVE-2025-59375: disproportionate memory allocations.
  * Also CVE-2025-66382 and, as before, CVE-2025-59375.

 -- Someone <someone@example.org>  Sun, 21 Sep 2025 10:00:00 +0200

expat (2.7.1-2) unstable; urgency=medium

  * Upload to unstable.

 -- Someone <someone@example.org>  Fri, 06 Jun 2025 20:21:12 +0200

expat (2.7.1-1) experimental; urgency=medium

  * New upstream release: fixes CVE-2024-8176 .

 -- Someone <someone@example.org>  Sat, 29 Mar 2025 08:36:50 +0100
"""


@pytest.mark.parametrize(
    ("since", "named"),
    [
        ("2.7.1-2", ("CVE-2025-59375", "CVE-2025-66382")),
        ("2.7.1-2+deb13u1", ()),
        ("2.7.0-1", ("CVE-2024-8176", "CVE-2025-59375", "CVE-2025-66382")),
        ("2.7.1-1+b3", ("CVE-2025-59375", "CVE-2025-66382")),
        ("99", ()),
    ],
)
def test_those_of_the_entries_above_a_version(since: str, named: tuple[str, ...]) -> None:
    assert cves(CHANGELOG, since) == named


@given(st.text())
def test_what_is_no_changelog_names_none(text: str) -> None:
    assert cves(f"CVE-2025-0001 {text}".replace(";", ""), "1") == ()
