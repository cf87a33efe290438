"""What every process of an image finds set up (images/common/beside/assay-environment)."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT

FILE = ROOT / "images/common/beside/assay-environment/assay_environment/__init__.py"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with a control group and a key of the test's own, on a machine of eight processors."""
    spec = importlib.util.spec_from_file_location("assay_environment", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "CGROUPS", str(tmp_path))
    monkeypatch.setattr(module, "KEY", str(tmp_path / "key"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    (tmp_path / "key").write_text("0123456789abcdef\n")
    return module


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "250000 100000\n"}, 3),
        ({"cpu.max": "800000 100000\n"}, 0),  # all that there are
        ({"cpu.max": "max 100000\n"}, 0),
        ({"cpu.max": ""}, 0),
        ({"cpu.max": "1 0\n"}, 0),
        ({"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0),
        ({"cpu/cpu.cfs_quota_us": "150000\n"}, 0),
        ({}, 0),
    ],
)
def test_the_share_of_the_processors(
    environment: ModuleType, tmp_path: Path, files: dict[str, str], share: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert environment.processors() == share


def test_threads_are_set_by_the_share_where_nobody_has_set_them(environment: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("150000 100000")
    found = environment.settings({"HOME": str(tmp_path), "OMP_NUM_THREADS": "7"})
    assert {name: found.get(name) for name in environment.THREADS} == {
        **dict.fromkeys(environment.THREADS, "2"),
        "OMP_NUM_THREADS": None,
    }


def test_a_home_that_can_be_written_to_stays(environment: ModuleType, tmp_path: Path) -> None:
    found = environment.settings({"HOME": str(tmp_path), "USER": "someone", "LOGNAME": "someone", "PATH": "/bin"})
    base = f"{tmp_path}/.assay/0123456789abcdef"
    assert found == {"PYTHONUSERBASE": base, "PATH": f"/bin:{base}/bin"}


def test_a_home_is_made_where_there_is_none(environment: ModuleType, tmp_path: Path) -> None:
    found = environment.settings({"HOME": "/nowhere", "TMPDIR": str(tmp_path)})
    home = Path(found["HOME"])
    assert home == tmp_path / f"home-{os.getuid()}"
    assert home.stat().st_mode & 0o777 == 0o700
    assert found["PYTHONUSERBASE"].startswith(f"{home}/.assay/")
    assert found["USER"] == found["LOGNAME"] == "assay"


def test_a_home_that_is_somebody_elses_is_not_taken(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "home-4242").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    assert not {"HOME", "PYTHONUSERBASE"} & environment.settings({"TMPDIR": str(tmp_path)}).keys()


def test_a_place_for_packages_that_somebody_has_chosen_stays(environment: ModuleType, tmp_path: Path) -> None:
    found = environment.settings({"HOME": str(tmp_path), "PYTHONUSERBASE": "/mine", "PATH": "/bin:/mine/bin"})
    assert not {"PYTHONUSERBASE", "PATH"} & found.keys()


def test_setting_twice_changes_nothing(environment: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("150000 100000")
    once = {"PATH": "/bin", **environment.settings({"TMPDIR": str(tmp_path), "PATH": "/bin"})}
    assert environment.settings(once) == {}


def test_a_shell_takes_what_is_printed_whatever_is_in_it(tmp_path: Path) -> None:
    home = tmp_path / "a 'home' $(touch planted)"
    home.mkdir()
    script = f'eval "$({sys.executable} -I -S {FILE})" && printf %s "$PYTHONUSERBASE"'
    done = subprocess.run(
        ["sh", "-c", script],
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        cwd=tmp_path,
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == f"{home}/.assay/environment"
    assert not (tmp_path / "planted").exists()
