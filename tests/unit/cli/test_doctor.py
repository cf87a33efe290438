"""`assay doctor`: of a checkout, of what is installed, of a registry."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import assay
from assay import doctor
from assay.errors import VerificationFailed
from tests import published
from tests.fake_registry import FakeRegistry, serving
from tests.unit.cli.ran import Ran, raising


def test_doctor(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the checkout; and, outside of one, of what this Assay came with."""
    asked = ("doctor", "--driver", "580.65.06", "--compute-capability", "8.6")
    monkeypatch.chdir(Path(assay.__file__).parent)
    ran = assay_(*asked)
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[0].split() == ["image", "runs", "framework", "CUDA", "certified", "why"]
    monkeypatch.chdir("/")
    answer = json.loads(assay_(*asked, "--json").out)
    assert answer["schema"] == 1
    assert {row["runs"] for row in answer["images"]} <= {"gpu", "cpu"}
    monkeypatch.setattr(doctor, "require_usable", raising(VerificationFailed("what", "todo")))
    ran = assay_(*asked)
    assert ran.code == 5
    assert ran.out


def test_doctor_judges_what_a_registry_has_by_what_is_installed(
    assay_: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone may leave images/ and smoke/ in a folder above, such as /tmp: with gates that let all through."""
    trap = tmp_path / "trap"
    (trap / "images").mkdir(parents=True)
    (trap / "smoke").mkdir()
    (trap / "here").mkdir()
    monkeypatch.chdir(trap / "here")
    (tmp_path / "key.pub").write_bytes(published.key().public.pem())
    with serving(FakeRegistry()) as fake:
        published.put(fake.host, published.fresh())
        asked = (str(published.reference(fake.host)), "--key", str(tmp_path / "key.pub"), "--json")
        ran = assay_("doctor", *asked)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"No devices were found\n")))
        elsewhere = assay_("doctor", "-", *asked)
    assert ran.code == 0, ran.err
    assert [row["levels"] for row in json.loads(ran.out)["images"]] == [{"cpu": "E2"}]
    assert [row["why"] for row in json.loads(elsewhere.out)["images"]] == ["the driver finds no GPU"]


RECORDED = Path(__file__).parents[1] / "data/nvidia-smi"


@pytest.fixture
def pasting(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """The command, from where this Assay's certificates are found, with a text on its standard input."""
    monkeypatch.chdir("/")

    def run(text: bytes, *options: str, kind: type[io.TextIOWrapper] = io.TextIOWrapper) -> Ran:
        monkeypatch.setattr("sys.stdin", kind(io.BytesIO(text)))
        return assay_("doctor", "-", *options)

    return run


def test_what_nvidia_smi_printed_elsewhere(pasting: Callable[..., Ran]) -> None:
    ran = pasting((RECORDED / "table-570-wsl.txt").read_bytes())
    assert ran.code == 0, ran.err
    assert ran.out.splitlines()[0].split() == ["that", "machine"]
    assert "572.70 of Windows, for WSL, serves CUDA up to 12.x, came with CUDA 12.8" in ran.out
    assert "NVIDIA GeForce RTX 5090, compute capability 12.0 by its name, 32 GiB" in ran.out
    answer = json.loads(pasting((RECORDED / "table-570-wsl.txt").read_bytes(), "--json").out)
    assert answer["machine"] == {
        "here": False,
        "architecture": "amd64",
        "driver": "572.70",
        "windows": True,
        "cuda": "12.8",
        "serves": "CUDA up to 12.x",
        "gpus": [
            {"name": "NVIDIA GeForce RTX 5090", "compute_capability": "12.0", "memory_bytes": 32607 * 2**20},
        ],
    }
    assert {finding["id"] for finding in answer["findings"]} == {"driver", "gpu"}
    assert {row["runs"] for row in answer["images"]} == {"gpu", "cpu"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252"])
def test_what_windows_writes_into_a_file(pasting: Callable[..., Ran], encoding: str) -> None:
    text = (RECORDED / "table-610-windows.txt").read_text()
    assert "610.62 of Windows" in pasting(text.replace("\n", "\r\n").encode(encoding)).out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "nothing came on standard input"),
        (b"\xff\xfe\x00", "is not of nvidia-smi"),
        (b"Hello \x1b[2J\nworld", "is not of nvidia-smi: 'Hello"),
        (b"x" * 2**22, "too long"),
    ],
)
def test_what_is_no_output_of_nvidia_smi(pasting: Callable[..., Ran], text: bytes, words: str) -> None:
    ran = pasting(text)
    ran.refused(2, words)
    assert "\x1b" not in ran.err


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_told_what_to_paste(pasting: Callable[..., Ran]) -> None:
    text = (RECORDED / "csv-two.txt").read_bytes()
    assert "Paste what nvidia-smi printed" in pasting(text, kind=Terminal).err
    assert pasting(text).err == ""


def test_a_cuda_version_is_told_from_a_drivers(assay_: Callable[..., Ran]) -> None:
    assay_("doctor", "--driver", "12.4", "--compute-capability", "8.6").refused(
        2, "'12.4' is a CUDA version", "`Driver Version:`", "550.54.14 (Windows: 551.61)"
    )
    assay_("doctor", "--driver", "550").refused(2, "together", "`assay doctor -`")


def test_a_jetson_is_on_aarch64(assay_: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    asked = ("doctor", "--driver", "540.4.0", "--compute-capability", "8.7")
    assert "aarch64: compute capability 8.7 is that of Jetson Orin" in assay_(*asked).out
    answer = json.loads(assay_(*asked, "--json").out)
    assert answer["machine"]["architecture"] == "arm64"
    assert {row["runs"] for row in answer["images"]} == {"no"}
    assert "aarch64" in answer["findings"][0]["message"]
