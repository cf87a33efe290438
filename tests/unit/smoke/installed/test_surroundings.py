"""How a process was started, as it is gathered."""

from __future__ import annotations

from pathlib import Path

import pytest

from smoke.installed import surroundings
from smoke.installed.surroundings import gather_surroundings


def test_the_loader_s_configuration_is_followed(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.conf").write_text("/one # of them\n\n# /two\n")
    (tmp_path / "ld.so.conf").write_text("include d/*.conf\n/three\ninclude ld.so.conf\n")
    assert set(surroundings.configured(tmp_path / "ld.so.conf")) == {Path("/one"), Path("/three")}
    assert list(surroundings.configured(tmp_path / "none")) == []


@pytest.mark.parametrize(("home", "writable"), [("", False), ("/nowhere/at/all", False), ("here", True)])
def test_a_home_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str, writable: bool) -> None:
    monkeypatch.setenv("HOME", str(tmp_path) if home == "here" else home)
    monkeypatch.setattr(surroundings, "cached", frozenset)
    assert gather_surroundings(tmp_path, None, []).home_writable is writable


def test_a_library_of_the_driver_s_name_is_found_wherever_the_loader_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "cached", lambda: frozenset({Path("/cached")}))
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{tmp_path / 'named'}:")
    for folder in ("named", "of-a-package"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "libcuda.so.1").symlink_to("nowhere")
    now = gather_surroundings(tmp_path, "580", [tmp_path / "of-a-package", tmp_path / "named"])
    paths = [library.path.parent.name for library in now.libcudas if tmp_path in library.path.parents]
    assert paths == ["named", "of-a-package"]
    assert now.libcudas[0].real == tmp_path / "named/nowhere"
    assert (now.driver, now.cached, now.suite) == ("580", {Path("/cached")}, tmp_path)
