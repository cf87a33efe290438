"""Programs in C that are compiled and judged; they need no framework."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.unit.compare_programs.questions import COMPARE, load

question = load(COMPARE / "languages" / "question.py")
_program = load(COMPARE / "languages" / "_program.py")
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc")
NETWORK = _program.network()
PRINTS = "#include <stdio.h>\nint main(void) {\n  /* eight */\n%s\n  return %d;\n}\n"


def source(folder: Path, numbers: np.ndarray, code: int = 0) -> Path:
    lines = "\n".join(f'  printf("%.9g\\n", {one!r});' for one in numbers.ravel().tolist())
    (folder / "made.c").write_text(PRINTS % (lines, code))
    return folder / "made.c"


@needs_gcc
def test_a_program_that_gives_the_numbers(tmp_path: Path) -> None:
    outputs = NETWORK.outputs()
    answer = question.run(_program.Program("made.c", outputs), source(tmp_path, outputs), tmp_path)
    assert answer["values"]["difference"] < 1e-7
    assert answer["values"]["alone"] is True
    assert answer["values"]["compile_processor_seconds"] > 0
    assert answer["lines"] == 12


@needs_gcc
@pytest.mark.parametrize(
    ("moved", "python", "told"),
    [
        (1e-3, 0.0, "the numbers are 0.001 away from float64"),
        (0.0, 1e-3, "they are 0.001 away from Python's"),
        (float("nan"), 0.0, "away from float64"),
    ],
)
def test_other_numbers_are_a_failure(tmp_path: Path, moved: float, python: float, told: str) -> None:
    outputs = NETWORK.outputs()
    made = source(tmp_path, np.nan_to_num(outputs + moved, nan=1e9))
    with pytest.raises(AssertionError, match=told):
        question.run(_program.Program("made.c", outputs + python), made, tmp_path)


@needs_gcc
def test_too_few_numbers_are_a_failure(tmp_path: Path) -> None:
    outputs = NETWORK.outputs()
    with pytest.raises(AssertionError, match="7 numbers came out, and 8 belong there"):
        question.run(_program.Program("made.c", outputs), source(tmp_path, outputs.ravel()[:7]), tmp_path)


@needs_gcc
def test_a_program_that_does_not_compile_or_ends_badly(tmp_path: Path) -> None:
    outputs = NETWORK.outputs()
    with pytest.raises(RuntimeError, match="program ended with 3"):
        question.run(_program.Program("made.c", outputs), source(tmp_path, outputs, 3), tmp_path)
    (tmp_path / "made.c").write_text("#include <no_such_header.h>\n")
    with pytest.raises(RuntimeError, match=r"gcc ended with 1: .*no_such_header\.h"):
        question.run(_program.Program("made.c", outputs), tmp_path / "made.c", tmp_path)


def test_without_a_compiler_it_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = question.run(_program.Program("made.cpp", NETWORK.outputs()), tmp_path / "made.cpp", tmp_path)
    assert answer == {"cannot": "there is no g++ in the image"}


def test_files_of_languages_are_counted(tmp_path: Path) -> None:
    for name in ("include/a.h", "include/b.HPP", "src/c.cc", "jni/D.java", "e.py", "f.so"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert question.listed([tmp_path]) == {
        "languages": ["C and C++ (headers): 2", "C and C++ (sources): 1", "Java: 1"]
    }


def test_lines_of_a_source() -> None:
    assert (
        question.code_lines("/* a\n * b */\n\n#include <a.h>\n// c\nint main() { return 0; }  // d\n/* e */\n") == 2
    )


@pytest.mark.parametrize("file", sorted((COMPARE / "languages").glob("*.c*")), ids=lambda path: path.name)
def test_a_program_is_about_thirty_lines(file: Path) -> None:
    assert 5 < question.code_lines(file.read_text()) <= 45
