"""Which languages does a framework serve, besides Python?

For C and C++ a program of some thirty lines lies beside the framework's file. It is compiled in the image, by the
compiler and with the headers and libraries that are there, and loads a network that Python saved. What it prints has
to be what Python computes, and what NumPy computes in float64. Where a program of its own cannot be had, a framework
may call the code from Python; `alone` tells which it is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

import numpy as np

from languages._program import Program, network

TITLE = "Which languages?"
CLAIM = "MXNet is scalable and multi-language."
KIND = "facts"
CELLS = {
    "c": "A program in C that gives the numbers of Python",
    "cpp": "A program in C++ that gives the numbers of Python",
    "others": "Files of other languages in the framework's packages",
}
LIMIT = 900  # seconds on a machine that others load; a minute where nobody does
GATE = 1e-5  # of how far float32 may be from float64, where outputs are about 1

COMPILERS = {".c": ("gcc", "-std=c11"), ".cpp": ("g++", "-std=c++17")}
SUFFIXES = {
    "C and C++ (headers)": (".h", ".hpp", ".hh", ".cuh"),
    "C and C++ (sources)": (".c", ".cc", ".cpp", ".cxx"),
    "CUDA": (".cu",),
    "C#": (".cs",),
    "Go": (".go",),
    "Java": (".java", ".jar"),
    "JavaScript": (".js", ".ts"),
    "Julia": (".jl",),
    "MATLAB": (".m", ".mex", ".mexa64"),
    "Perl": (".pl", ".pm"),
    "R": (".r", ".rd"),
    "Rust": (".rs",),
    "Scala and Clojure": (".scala", ".clj"),
    "Swift and Objective-C": (".swift", ".mm"),
}


def measure(cell: str, function: Callable[..., Any], task: SimpleNamespace) -> dict[str, Any]:
    """Compile and run the program; or look through the framework's packages."""
    if cell == "others":
        return {"values": listed(function())}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = function(folder, network())
        if isinstance(program, str):
            return {"cannot": program}
        return run(program, Path(task.module.__file__).parent / program.source, folder)


def run(program: Program, source: Path, folder: Path) -> dict[str, Any]:
    """The answer of a cell; a program that does not compile, ends badly or gives other numbers is a failure."""
    compiler, *standard = COMPILERS[source.suffix]
    if shutil.which(compiler) is None:
        return {"cannot": f"there is no {compiler} in the image"}
    made = folder / ("program.so" if program.call else "program")
    shared = ("-shared", "-fPIC") if program.call else ()
    before = os.times()
    if program.compiled:
        said(compiler, *standard, "-Wall", *shared, source, "-o", made, *program.flags)
    seconds = sum(os.times()[2:4]) - sum(before[2:4])
    if program.call:
        found = program.call(made if program.compiled else source)
    else:
        found = [float(one) for one in said(made, *program.arguments).split()]
    expected, python = network().outputs().ravel(), np.asarray(program.python, np.float64).ravel()
    found = np.asarray(found, np.float64).ravel()
    assert found.shape == python.shape == expected.shape, (
        f"{found.size} numbers came out, and {expected.size} belong there"
    )
    values = {
        "difference": float(np.abs(found - expected).max()),
        "difference_from_python": float(np.abs(found - python).max()),
        "alone": program.call is None,
        "interface": program.interface,
    }
    values.update({"compile_processor_seconds": round(seconds, 2)} if program.compiled else {})
    assert values["difference"] <= GATE, f"the numbers are {values['difference']:.2g} away from float64"
    assert values["difference_from_python"] <= GATE, (
        f"they are {values['difference_from_python']:.2g} away from Python's"
    )
    return {"values": values, "lines": code_lines(source.read_text(encoding="utf-8"))}


def said(*command: Any) -> str:
    """What a program prints; one that fails raises what it said last."""
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        errors = (
            [line for line in done.stderr.splitlines() if "error" in line.lower()] or done.stderr.splitlines() or [""]
        )
        raise RuntimeError(f"{Path(str(command[0])).name} ended with {done.returncode}: {errors[0]}")
    return done.stdout


def code_lines(source: str) -> int:
    """Lines of a C or C++ source, without blank lines and those that are all comment."""
    code, within = 0, False
    for line in map(str.strip, source.splitlines()):
        if within or line.startswith("/*"):
            within = "*/" not in line
        elif line and not line.startswith("//"):
            code += 1
    return code


def listed(folders: list[Path]) -> dict[str, Any]:
    """How many files of each language lie in these folders, by their suffixes."""
    languages = {suffix: language for language, suffixes in SUFFIXES.items() for suffix in suffixes}
    counts: dict[str, int] = {}
    for folder in folders:
        for _, _, names in os.walk(folder):
            for name in names:
                language = languages.get(Path(name).suffix.lower())
                if language:
                    counts[language] = counts.get(language, 0) + 1
    return {"languages": [f"{language}: {count}" for language, count in sorted(counts.items())]}
