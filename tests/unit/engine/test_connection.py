from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import docker.errors
import pytest
import requests

from assay.engine import Engine
from assay.errors import EngineMissing
from assay.host import process
from assay.host.process import Completed
from tests.unit.engine.sdk import Client, engine, two_lines


def test_a_good_engine_lacks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "run", lambda *a, **k: Completed(0, "", ""))
    good = engine(DriverStatus=[["driver-type", "io.containerd.snapshotter.v1"]])
    assert good.shortcomings() == []


@pytest.mark.parametrize("version", ["22.0.1", "20.10.24+dfsg1", "0", "dev", ""])
def test_what_an_engine_lacks(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    monkeypatch.setattr(process, "run", lambda *a, **k: Completed(1, "", ""))
    old = engine(number=version, DriverStatus=None)
    assert [text.split()[0] for text in old.shortcomings()] == ["it", "its", "docker"]


@pytest.mark.parametrize(
    ("info", "access"),
    [
        ({}, None),
        ({"DiscoveredDevices": None, "CDISpecDirs": None, "Runtimes": None}, None),
        ({"Runtimes": {"runc": {}}}, None),
        ({"Runtimes": {"runc": {}, "nvidia": {}}}, "nvidia-runtime"),
        ({"DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=all"}]}, "cdi"),
        ({"DiscoveredDevices": [{"Source": "cdi", "ID": "other.com/gpu=all"}]}, None),
        ({"DiscoveredDevices": [{"ID": "nvidia.com/gpu=all"}], "Runtimes": {"nvidia": {}}}, "cdi"),
    ],
)
def test_the_way_to_the_gpus(info: dict[str, Any], access: str | None) -> None:
    assert engine(**info).gpu_access() == access


@pytest.mark.parametrize("name", ["nvidia.yaml", "nvidia.json"])
def test_a_cdi_specification_on_disk(tmp_path: Path, name: str) -> None:
    assert engine(CDISpecDirs=[str(tmp_path)]).gpu_access() is None
    (tmp_path / name).touch()
    assert engine(CDISpecDirs=[str(tmp_path)]).gpu_access() == "cdi"


def test_an_image_that_is_not_there() -> None:
    client = Client(docker.errors.ImageNotFound("no"))
    assert engine(client).digest("x") is None
    assert engine(client).image("x") is None


@pytest.mark.parametrize("error", [requests.ConnectionError("refused"), docker.errors.APIError("500"), OSError("x")])
def test_an_engine_that_went_away(error: Exception) -> None:
    gone = engine(Client(error))
    for call in (lambda: gone.digest("x"), lambda: gone.image("x"), lambda: gone.tag("x", "y:z")):
        with pytest.raises(EngineMissing) as caught:
            call()
        two_lines(caught.value)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # the SDK's own, when nobody answers
def test_no_engine_at_an_address(tmp_path: Path) -> None:
    with pytest.raises(EngineMissing, match="no container engine answers"):
        Engine("system", {}, f"unix://{tmp_path}/none.sock")
    gc.collect()
