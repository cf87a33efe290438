"""A test tool that the archive no longer has is named as what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.engine import apt
from assay.errors import EngineMissing
from tests import registries


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("apt-get download failed: E: Unable to locate package oras", "oras"),
        ("apt-get download failed: E: Can't find a source to download of 'cosign'", "cosign"),
        ("an index cannot be fetched: Connection refused", "docker-registry, cosign, oras"),
    ],
)
def test_a_tool_that_cannot_be_had_fails_by_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, names: str
) -> None:
    def unpack(*_: object) -> None:
        raise EngineMissing(what, "Install Docker Engine 23 or later.")

    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    monkeypatch.setattr(apt, "unpack", unpack)
    with pytest.raises(pytest.fail.Exception) as caught:
        registries.programs()
    said = str(caught.value)
    assert said == f"a tool of the tests cannot be had from Debian's archive: {names}\n  {what}"
    assert not caught.value.pytrace
