from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from smoke.installed import coverage, fatbin, loading
from smoke.installed.facts import Outcome
from smoke.installed.fatbin import Code
from smoke.machine.cgroups import Machine
from tests.unit.smoke.environment import Environment, library

VERSIONS = {"libcudart.so.13": ("13.2", "13.2"), "libcudnn.so.9": ("9.26.0", "13.4")}


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    """A whole environment: the CUDA runtime, cuDNN in its parts, and a framework."""
    env = Environment(tmp_path)
    env.add("nvidia-cuda-runtime", "13.2.86", {"nvidia/cu13/lib/libcudart.so.13": library("libcudart.so.13")})
    parts = {name: library(f"libcudnn{name}.so.9") for name in ("", "_graph", "_ops", "_engines_precompiled")}
    files = {f"nvidia/cudnn/lib/libcudnn{name}.so.9": data for name, data in parts.items()}
    env.add("nvidia-cudnn-cu13", "9.26.0.51", files)
    env.add("framework", "1.0", {"framework/__init__.py": b"", "framework/lib.so": library("", ("libcudart.so.13",))})
    return env


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Says what comes of loading libraries, by the beginnings of their names; all others load."""

    def outcome(path: Path, changed: dict[str, Outcome]) -> Outcome:
        well = Outcome("", True, "", "", *VERSIONS.get(path.name, ("", "")))
        return changed.get(path.name.partition(".")[0], well)._replace(path=str(path))

    def loads(**changed: Outcome) -> None:
        def load_all(paths: Iterable[Path], _shared: object) -> list[Outcome]:
            return [outcome(path, changed) for path in paths]

        monkeypatch.setattr(loading, "load_all", load_all)

    loads()
    return loads


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine of folders, with 8 GiB of memory and 8 cores."""
    for name in ("proc/self", "cgroup", "shm", "home"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal:       8388608 kB\nMemFree: 1 kB\n")
    environment = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "home"), "USER": "me"}
    return Machine(environment, 54321, tmp_path / "proc", tmp_path / "cgroup", tmp_path / "shm", 8)


@pytest.fixture
def covered(tmp_path: Path) -> Path:
    """The coverage file of a library that serves 9.0 wholly, and 8.0 in a part of it."""
    library = tmp_path / "env/libtorch.so"
    library.parent.mkdir()
    library.write_bytes(b"x" * 100)
    containers = (frozenset({Code(False, 8, 0), Code(False, 9, 0)}), frozenset({Code(False, 9, 0)}))
    data = coverage.describe(tmp_path / "env", [(library, fatbin.Coverage(containers * 3))])
    path = tmp_path / "coverage.json"
    path.write_text(json.dumps(data))
    return path
