from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assay import catalog
from assay.catalog.pins import requirements
from assay.errors import UsageError
from tests.unit.catalog.refusals import TEXTS, edit, refused, value_or_refusal, write


@pytest.mark.parametrize(
    ("name", "old", "new", "fragments"),
    [
        ("torchy", "[image]", "[image", ["images/torchy/image.toml is not TOML", "line 2"]),
        ("torchy", "summary", "sumary", ["unknown key image.sumary", "Did you mean summary?"]),
        ("torchy", "[limits]", "[limit]", ["unknown key limit", "Did you mean limits?"]),
        ("torchy", "module", "zzz = 1\nmodule", ["unknown key framework.zzz", "Known here: name, module"]),
        ("torchy", 'summary = "A framework"', "", ["image.summary is missing"]),
        ("torchy", '"A framework"', "3", ["image.toml: image.summary: Expected `str`, got `int`"]),
        ("torchy", '"A framework"', '"a\\nb"', ["image.toml: image.summary"]),
        ("torchy", '["digits"]', '"digits"', ["image.workloads"]),
        ("torchy", '["digits"]', "[]", ["image.workloads is empty"]),
        ("torchy", '["digits"]', '["digits", "digits"]', ["names one twice"]),
        ("torchy", 'name = "torch"', 'name = "../torch"', ["framework.name"]),
        ("torchy", 'module = "torch"', 'module = "torch; x"', ["framework.module"]),
        ("torchy", "size_gb = 2", "size_gb = -1", ["limits.size_gb"]),
        ("torchy", "size_gb = 2", 'size_gb = "2"', ["limits.size_gb"]),
        ("torchy", "cuda/1.0", "cuda/1.1", ["no image is named 'cuda/1.1'", "Did you mean cuda/1.0?"]),
        ("torchy", 'parent = "cuda/1.0"', "", ["image.parent is missing"]),
        ("torchy", "[limits]", '[labels]\ncuda = "2"\n[limits]', ["labels.cuda is '2', but '1.0'"]),
        ("torchy", "[limits]", "[labels]\npython = 3.13\n[limits]", ["labels", "Expected `str`, got `float`"]),
        ("torchy", "[limits]", '[beside]\nours = "1"\n[limits]', ["beside.ours: images/common/beside has none"]),
        ("torchy", "[limits]", "[as_found]\nstdout = []\n[limits]", ["unknown key as_found.stdout", "stderr"]),
        (
            "torchy",
            "[limits]",
            "[as_found]\nstderr = ['(']\n[limits]",
            ["as_found.stderr: '(' is no regular expression"],
        ),
        ("torchy", "[limits]", '[uncalled]\n"libx.so" = ""\n[limits]', ["uncalled"]),
        ("base/trixie", 'suite = "trixie"', "", ["base.suite is missing"]),
        ("base/trixie", "[base]", 'parent = "cuda/1.0"\n[base]', ["circle of parents"]),
        ("base/trixie", "[base]", '[framework]\nname="a"\nmodule="a"\n[base]', ["framework does not go with"]),
        ("cuda/1.0", 'summary = "CUDA 1"', 'summary = "x"\nworkloads = ["a"]', ["without [framework]"]),
    ],
)
def test_a_defect_names_the_file_and_the_key(root: Path, name: str, old: str, new: str, fragments: list[str]) -> None:
    edit(root, name, old, new)
    refused(root, *fragments)


@pytest.mark.parametrize("name", ["image.toml", "requirements.in", "requirements.lock"])
def test_what_is_not_utf8_is_said_so(root: Path, name: str) -> None:
    write(root, f"torchy/{name}", b"# caf\xe9")
    refused(root, f"images/torchy/{name} is not UTF-8")


@pytest.mark.parametrize("name", ["requirements.in", "requirements.lock"])
def test_a_folder_in_place_of_a_file(root: Path, name: str) -> None:
    path = root / "images/torchy" / name
    path.unlink()
    path.mkdir()
    refused(root, f"images/torchy/{name} cannot be read: Is a directory\nMake it a file that you may read.")


@given(st.binary() | TEXTS.map(str.encode))
@example(b"a=" + b"[" * 5000)
@example(b"a=" + b"9" * 5000)
@example(b"[image]\nsummary=1e999")
def test_any_file(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    root = tmp_path_factory.getbasetemp() / "any"
    write(root, "a/Dockerfile", "")
    write(root, "a/image.toml", content)
    write(root, "a/requirements.in", content)
    with pytest.raises(UsageError):
        catalog.load(root)
    value_or_refusal(lambda: requirements(root / "images/a/requirements.in"))


TABLES = ["image", "framework", "labels", "limits", "base", "tools", "as_found", "x.y", '"\\u0000`"']


@given(st.lists(st.tuples(st.sampled_from(TABLES), TEXTS)))
def test_any_table(tmp_path_factory: pytest.TempPathFactory, keys: list[tuple[str, str]]) -> None:
    root = tmp_path_factory.getbasetemp() / "table"
    write(root, "a/Dockerfile", "")
    write(root, "a/image.toml", "\n".join(f"[{table}]\n{key} = 1" for table, key in keys))
    with pytest.raises(UsageError):
        catalog.load(root)
