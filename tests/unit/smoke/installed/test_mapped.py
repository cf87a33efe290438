"""The libraries that are mapped into a process, from /proc/PID/maps."""

from __future__ import annotations

import ctypes
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from smoke.installed import mapped
from tests.unit.smoke.environment import compiled


@given(st.lists(st.text(max_size=80), max_size=20))
def test_any_maps_file_gives_paths(lines: list[str]) -> None:
    assert all(path.startswith("/") for path in mapped.paths(lines))


def test_maps_lines_are_read() -> None:
    line = "7f00-7f01 r-xp 00000000 00:1c 17   /opt/a b/libcudart.so.13 (deleted)\n"
    plain = "7f00-7f01 r-xp 00000000 00:1c 17   /opt/a b/libcudart.so.13\n"
    assert mapped.paths([plain, "7f-8f rw-p 0 00:00 0 \n", "7f-8f rw-p 0 00:00 0 [heap]\n"]) == [
        "/opt/a b/libcudart.so.13"
    ]
    assert mapped.paths([line]) == ["/opt/a b/libcudart.so.13 (deleted)"]


def test_a_cuda_library_that_is_loaded_is_asked(tmp_path: Path) -> None:
    source = "int cudaRuntimeGetVersion(int *version) { *version = 13020; return 0; }"
    real = compiled(source, tmp_path / "libcudart.so.13.2.75")
    (tmp_path / "libcudart.so.13").symlink_to(real.name)
    ctypes.CDLL(str(tmp_path / "libcudart.so.13"))
    (library,) = [library for library in mapped.mapped_cuda() if library.path.parent == tmp_path]
    assert (library.real, library.version, library.cuda) == (real, "13.2", "13.2")


def test_one_that_cannot_be_asked_has_no_version(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    names = ("/gone/libcudart.so.13", "/gone/libcuda.so.1", "/gone/libother.so.1")
    maps.write_text("".join(f"7f00-7f01 r-xp 00000000 00:1c 17 {name}\n" for name in names))
    libraries = mapped.mapped_cuda(maps)
    assert [library.path.name for library in libraries] == ["libcuda.so.1", "libcudart.so.13"]
    assert {(library.version, library.cuda) for library in libraries} == {("", "")}
