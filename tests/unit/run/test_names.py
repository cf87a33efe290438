"""What a command line of `assay run` begins with: an image of ours, one of the engine by its tag, or a program."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import cast

import pytest

from assay import doctor, engine
from assay.certificate import Suites
from assay.doctor import Certified, Machine
from assay.errors import UsageError
from assay.run import Images, is_reference
from tests.conftest import ROOT

H100 = doctor.another("580", ["9.0"])


class Engine:
    """One that has these images: their digests and layers by their names."""

    def __init__(self, **images: tuple[str, ...]) -> None:
        self.images = {f"{name}:latest": layers for name, layers in images.items()}
        self.pulls: list[str] = []

    def _layers(self, reference: str) -> tuple[str, ...] | None:
        return self.images.get(reference) or self.images.get(f"{reference}:latest")

    def digest(self, reference: str) -> str | None:
        return reference if self._layers(reference) else None

    def layers(self, reference: str) -> tuple[str, ...]:
        return self._layers(reference) or ()

    def tags(self, repository: str) -> list[str]:
        return [name for name in self.images if name.rpartition(":")[0] == repository]

    def pull(self, reference: str) -> None:
        self.pulls.append(reference)


CERTIFIED = tuple(
    dataclasses.replace(image, digest=f"of-{image.image}") for image in doctor.gather(ROOT, Suites.read(ROOT))[0]
)


def images(made: Engine, machine: Machine = H100, certified: tuple[Certified, ...] = CERTIFIED) -> Images:
    return Images(certified, cast("engine.Engine", made), machine, ROOT)


MINE = Engine(mine=("a", "b", "c"), python=("p",), **{"of-pytorch": ("a", "b"), "of-jax": ("a", "j")})


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("pytorch python train.py", "pytorch"),
        ("cuda/13.2 bash", "cuda/13.2"),
        ("jax/cuda12 python train.py", "jax/cuda12"),
        ("pytorch/absent python train.py", "pytorch/absent"),  # a registry's, for all that is known here
        ("registry.example/team/x:1 python", "registry.example/team/x:1"),
        ("mine python train.py", "mine"),
        ("mine:latest python train.py", "mine:latest"),
        ("mine", "mine"),
        ("python train.py", None),  # though the engine has an image of this name
        ("python:latest train.py", "python:latest"),
        ("bash", None),
        ("torchrun train.py", None),
        ("tensorboard --logdir .", None),
        ("ipython", None),
        ("no-such-program", None),
        ("train.py", None),
    ],
)
def test_an_image_or_a_program(words: str, name: str | None, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import torch\n")
    first, *rest = words.split()
    found, command = images(MINE).split(words.split(), tmp_path)
    assert (found, command) == ((name, tuple(rest)) if name else (None, (first, *rest)))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("pytroch python train.py", "Did you mean pytorch?"),
        ("torch python train.py", "Did you mean pytorch?"),
        ("tensorflw torchrun", "Did you mean tensorflow?"),
        ("kears", "Did you mean keras?"),
        ("pytorch:2.15.0 python", "Did you mean pytorch?"),
        ("mine2 python train.py", "There are caffe, jax, jax/cpu, jax/cuda12, keras"),
        ("mine:2 python train.py", "There are caffe, jax, jax/cpu, jax/cuda12, keras"),
    ],
)
def test_a_name_that_no_image_has(words: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"^no image is called {words.partition(' ')[0]}\n") as caught:
        images(MINE).split(words.split(), tmp_path)
    assert caught.value.todo.startswith(said)


def test_a_variant_that_is_not_built_is_no_reference(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^jax/cuda12 is not built here\nBuild it: assay build jax/cuda12\."):
        images(MINE).by_name("jax/cuda12")
    assert is_reference("pytorch/absent", tmp_path, ROOT)
    assert not is_reference("jax/cuda12", tmp_path, ROOT)


def test_one_that_stands_on_a_certified_image_runs_where_that_does() -> None:
    choice = images(MINE).by_name("mine")
    assert (choice.image.image, choice.image.digest, choice.answer.runs) == ("mine", "mine", "gpu")
    assert choice.why == "as asked; it is not certified, and stands on pytorch"
    assert images(MINE, Machine()).by_name("mine").answer.runs == "cpu"
    choice = images(Engine(mine=("x",))).by_name("mine")
    assert (choice.answer.runs, choice.why) == ("cpu", "as asked, and it is not certified")


def test_one_that_is_certified_but_not_built(tmp_path: Path) -> None:
    found = images(Engine(**{"of-pytorch": ("a",)}))
    with pytest.raises(UsageError, match="jax is not built here\nBuild it: assay build jax"):
        found.by_name("jax")
    with pytest.raises(UsageError, match=r"no image that is here has jax, .*\n`assay build jax` makes one"):
        found.for_command(["python", "-c", "import jax"], tmp_path, {})
    with pytest.raises(UsageError, match=r"has torch and mxnet, .*\nNo certified one has. Here: pytorch"):
        found.for_command(["python", "-c", "import torch, mxnet"], tmp_path, {})
    either = "try:\n    import mxnet\nexcept ImportError:\n    import torch"
    assert found.for_command(["python", "-c", either], tmp_path, {}).image.image == "pytorch", "the one that is here"
    with pytest.raises(UsageError, match="assay build pytorch"):
        images(Engine()).for_command(["python", "-c", "import torch"], tmp_path, {})
    with pytest.raises(UsageError, match="no certified image is here"):
        images(Engine()).for_command(["python", "-c", "1"], tmp_path, {})


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("import torch\n")
    with pytest.raises(UsageError, match=r"trian\.py is not in .*\nDid you mean train\.py\?"):
        images(MINE).for_command(["python", "trian.py"], tmp_path, {})
    with pytest.raises(UsageError, match=r"x/other\.py is not in .*\nChange to the folder"):
        images(MINE).for_command(["python", "x/other.py"], tmp_path, {})
    found = images(MINE).for_command(["python", "train.py", "--write", "new.py"], tmp_path, {})
    assert found.image.image == "pytorch"


def test_what_was_verified_says_so() -> None:
    made = Engine()
    choice = images(made).pulled(next(image for image in CERTIFIED if image.image == "jax"))
    assert choice.why == "as asked, verified"
    assert len(made.pulls) == 1
