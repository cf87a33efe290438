"""The questions of compare/, as the tests of them need them."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.conftest import ROOT

COMPARE = ROOT / "compare"
sys.path.append(str(COMPARE))  # as it is for run.py: memory asks with what speed asks with
QUESTIONS = sorted(path.parent for path in COMPARE.glob("*/question.py"))
# What frameworks share, or a question has besides, begins with an underscore.
PROGRAMS = sorted(path for folder in QUESTIONS for path in folder.glob("[!_]*.py") if path.name != "question.py")


def load(file: Path) -> ModuleType:
    """A module of a file, under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"compare_{file.parent.name}_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def literals(file: Path) -> dict[str, Any]:
    """What a file defines as literals, and the functions that it has (as None), without running it."""
    found: dict[str, Any] = {}
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = None
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for one in target.elts if isinstance(target, ast.Tuple) else [target]:
                    if isinstance(one, ast.Name):
                        found[one.id] = _literal(node.value, found)
    return found


def _literal(node: ast.expr, known: dict[str, Any]) -> Any:
    """A literal; in a dictionary, names of earlier ones too."""
    if isinstance(node, ast.Dict):
        return {
            _literal(key, known): _literal(value, known)
            for key, value in zip(node.keys, node.values, strict=True)
            if key
        }
    if isinstance(node, ast.Name):
        return known.get(node.id)
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def asked(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What run.py says and answers, about questions of a folder."""
    command = [sys.executable, str(COMPARE / "run.py"), *arguments, "--questions", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def answers(folder: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """The lines of run.py, by their cells."""
    done = asked(folder, *arguments)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["cell"]: line for line in lines}
