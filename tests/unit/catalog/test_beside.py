"""The packages of ours that are put beside a framework's: unpacked wheels, whole as their RECORDs have them."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from assay import catalog
from tests.conftest import ROOT

BESIDE = ROOT / "images/common/beside"
WHEELS = sorted(BESIDE.iterdir())
HOOK = BESIDE / "assay-jax"


@pytest.mark.parametrize("wheel", WHEELS, ids=lambda wheel: wheel.name)
def test_its_record_has_each_of_its_files(wheel: Path) -> None:
    (record,) = wheel.glob("*.dist-info/RECORD")
    rows = {name: (digest, size) for name, digest, size in csv.reader(record.read_text().splitlines())}
    files = {path.relative_to(wheel).as_posix(): path for path in wheel.rglob("*") if path.is_file()}
    files = {name: path for name, path in files.items() if "__pycache__" not in name}
    assert rows.keys() == files.keys()
    for name, path in files.items():
        if path != record:
            digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
            assert rows[name] == (f"sha256={digest}", str(path.stat().st_size)), name


def test_image_toml_names_the_version_that_is_there() -> None:
    named = 0
    for image in catalog.load(ROOT).frameworks():
        for name, version in tomllib.loads((image.folder / "image.toml").read_text()).get("beside", {}).items():
            (metadata,) = (BESIDE / name).glob("*.dist-info/METADATA")
            assert {f"Name: {name}", f"Version: {version}"} <= set(metadata.read_text().splitlines())
            named += 1
    assert named


SKIP = "JAX_SKIP_CUDA_CONSTRAINTS_CHECK"


@pytest.mark.parametrize(
    ("hardware", "skipped"),
    [
        ("def has_visible_nvidia_gpu(): return False", "1"),
        ("def has_visible_nvidia_gpu(): return True", "None"),
        ("", "None"),  # a JAX that has no such function is left as it is
    ],
)
def test_jax_is_spared_the_check_where_there_is_no_device_and_only_there(
    tmp_path: Path, hardware: str, skipped: str
) -> None:
    for name, text in {
        "jax/__init__.py": "",
        "jax/_src/__init__.py": "",
        "jax/_src/hardware_utils.py": hardware,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "more/jax_plugins").mkdir(parents=True)
    (tmp_path / "more/jax_plugins/other.py").write_text("")
    script = f"import os, jax_plugins, jax_plugins.other; print(os.environ.get({SKIP!r}))"
    path = os.pathsep.join(str(one) for one in (HOOK, tmp_path, tmp_path / "more"))
    environment = {key: value for key, value in os.environ.items() if key != SKIP}
    done = subprocess.run(
        [sys.executable, "-B", "-c", script],
        env={**environment, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == skipped
