"""Which image runs a program: scripts as people write them, with the images whose certificates are committed."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import cast

import pytest

from assay import doctor, engine
from assay.certificate import Suites
from assay.doctor import Certified, Machine
from assay.errors import UsageError
from assay.run import Choice, Images, Undecided, imports
from tests.conftest import ROOT

NO_GPU = Machine()
H100 = doctor.another("580", ["9.0"])
DRIVER_550 = doctor.another("550", ["8.6"])


@functools.cache
def committed() -> tuple[Certified, ...]:
    images, unusable = doctor.gather(ROOT, Suites.read(ROOT))
    assert not unusable
    return tuple(images)


class Engine:
    """One that has all images."""

    def digest(self, reference: str) -> str:
        return reference


def chosen(folder: Path, command: list[str], machine: Machine = NO_GPU, **environment: str) -> Choice:
    images = Images(committed(), cast("engine.Engine", Engine()), machine, ROOT)
    return images.for_command(command, folder, environment)


SCRIPTS = {
    "torch": ("import torch\nprint(torch.ones(3))\n", "pytorch"),
    "torchtext": ("import torch\nfrom torchtext.vocab import vocab\n", "torchtext"),
    "keras": ("import keras\nkeras.Sequential()\n", "keras"),
    "keras-on-jax": ("import os\nos.environ['KERAS_BACKEND'] = 'jax'\nimport keras\n", "keras"),
    "keras-on-theano": ("import os\nos.environ.setdefault('KERAS_BACKEND', 'theano')\nimport keras\n", "theano"),
    "condition": (
        "try:\n    import cupy as np\nexcept ImportError:\n    import numpy as np\nimport jax\n",
        "jax/cpu",
    ),
    "either": ("try:\n    import mxnet\nexcept ImportError:\n    import torch\n", "mxnet"),
    "in-main": ("import argparse\ndef main():\n    from tensorflow import keras\nmain()\n", "tensorflow/cpu"),
    "two": ("import tensorflow as tf\nimport torch\n", "keras"),
    "caffe": ("import sys\nfrom caffe import layers as L\n", "caffe"),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_gets_the_image_of_its_framework(name: str, tmp_path: Path) -> None:
    text, image = SCRIPTS[name]
    (tmp_path / "train.py").write_text(text)
    found = chosen(tmp_path, ["python", "train.py", "--epochs", "3"])
    assert found.image.image == image
    assert found.why.startswith("train.py imports ") or "keras" in name


@pytest.mark.parametrize(
    "command", [["python", "none.py"], ["python", "/absent.py"], ["bash"], ["python", "-c", "1"]]
)
def test_no_framework_is_a_question(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "none.py").write_text("import os, numpy\n")
    with pytest.raises(Undecided) as caught:
        chosen(tmp_path, command)
    assert len(caught.value.choices) == len(committed()), "all run on a CPU"
    stacks = [choice.image.cuda or (0, 0) for choice in caught.value.choices]
    assert stacks[0] == max(stacks), "the newest is offered first"
    assert len(str(caught.value).splitlines()) <= 2


def test_a_module_is_read_with_what_it_imports_of_its_own(tmp_path: Path) -> None:
    package = tmp_path / "project"
    (package / "nets").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text("from . import train\ntrain.run()\n")
    (package / "train.py").write_text("from .nets.small import Net\n")
    (package / "nets/small.py").write_text("from ..shared import device\n")
    (package / "shared.py").write_text("import jax\n")
    found = chosen(tmp_path, ["python", "-m", "project"])
    assert (found.image.image, found.why) == ("jax/cpu", "shared.py imports jax")


@pytest.mark.parametrize(
    "command",
    [
        ["torchrun", "--nproc-per-node", "2", "train.py"],
        ["./train.py"],
        ["python", "-m", "torch.distributed.run", "elsewhere.py"],
        ["python", "-c", "import torch; print(torch.ones(3))"],
        ["python", "-c", "import importlib\nnet = importlib.import_module('torch.nn')"],
        ["python", "-c", "torch = __import__('torch')"],
    ],
)
def test_programs_are_started_in_more_ways_than_one(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import torch\n")
    assert chosen(tmp_path, command).image.image == "pytorch"


def test_the_backend_that_is_set_outside_decides(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import keras\n")
    assert chosen(tmp_path, ["python", "train.py"], KERAS_BACKEND="theano").image.image == "theano"
    assert chosen(tmp_path, ["python", "train.py"], KERAS_BACKEND="torch").image.image == "keras"
    assert chosen(tmp_path, ["python", "train.py"], KERAS_BACKEND="numpy").image.image == "keras", (
        "no framework's own"
    )


def test_the_driver_decides_between_images_of_one_framework(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import torch\n")
    assert chosen(tmp_path, ["python", "train.py"], H100).image.image == "pytorch"
    found = chosen(tmp_path, ["python", "train.py"], DRIVER_550)
    assert (found.image.image, found.answer.runs) == ("pytorch/cuda12", "gpu")
    assert "pytorch is newer, but driver 550 serves CUDA up to 12.x" in found.why


@pytest.mark.parametrize(
    ("machine", "image", "why"),
    [
        (H100, "jax", ""),
        (DRIVER_550, "jax/cuda12", "; jax is newer, but driver 550 serves CUDA up to 12.x"),
        (NO_GPU, "jax/cpu", ""),
    ],
    ids=["new", "old", "none"],
)
def test_driver_and_gpu_decide_between_variants(machine: Machine, image: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import jax\n")
    found = chosen(tmp_path, ["python", "train.py"], machine)
    assert found.image.image == image
    assert found.why.startswith(f"train.py imports jax{why}")


def test_what_no_image_has_is_said(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import mxnet\nimport jax\n")
    with pytest.raises(UsageError, match=r"no image that is here has mxnet and jax, which train\.py imports"):
        chosen(tmp_path, ["python", "train.py"])
    with pytest.raises(UsageError, match="no image with torch runs here"):
        chosen(tmp_path, ["python", "-c", "import torch"], Machine(architecture="arm64"))


@pytest.mark.parametrize(
    "text",
    ["import torch\x00", "def broken(:\n", "(" * 20000 + ")" * 20000, "\udcff".encode("utf-8", "surrogateescape")],
    ids=["nul", "syntax", "deep", "bytes"],
)
def test_what_python_cannot_read_imports_nothing(text: str | bytes, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert not imports(["python", "train.py"], tmp_path).always


def test_modules_that_import_each_other_and_links_that_go_round_come_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("import two\nimport torch\n")
    (tmp_path / "two.py").write_text("import one\n")
    (tmp_path / "three.py").symlink_to("three.py")
    (tmp_path / "four.py").mkdir()
    assert imports(["python", "one.py", "three.py", "four.py"], tmp_path).always == ["torch"]


@pytest.mark.parametrize(
    "data",
    [b"\xef\xbb\xbfimport torch\n", b"# -*- coding: latin-1 -*-\n# \xe9\nimport torch\n", b"import torch\r\n"],
    ids=["a mark of the byte order", "another encoding", "other line ends"],
)
def test_a_program_is_read_as_python_reads_it(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "train.py").write_bytes(data)
    assert imports(["python", "train.py"], tmp_path).always == ["torch"]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train.py")
    assert not imports(["python", "train.py"], tmp_path).always
