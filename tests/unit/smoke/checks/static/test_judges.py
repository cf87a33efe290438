"""The judges see the facts alone: none of them reads the disk, or starts a process."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any

import pytest

from smoke import SUITE
from smoke.checks.static.closure import judge_closure, judge_hidden
from smoke.checks.static.coverage import judge_coverage, stack_of
from smoke.checks.static.loaded import judge_loaded
from smoke.checks.static.packages import judge_packages
from smoke.installed.closure import gather_closure, hide_one
from smoke.installed.facts import Loaded, Mapped
from smoke.installed.packages import gather_packages
from smoke.installed.survey import survey
from tests.unit.smoke.environment import Environment, library, planned

JUDGES = sorted(path for path in (SUITE / "checks/static").glob("*.py") if path.stem != "__init__")
MODULES = {"__future__", "collections.abc", "dataclasses", "pathlib", "re", "typing"}
# What a path does that reads or changes the disk, but for namesakes: a match has groups, a library an owner.
LOOKS = {name for name in dir(Path) if not name.startswith("_")} - set(dir(PurePath)) - {"group", "owner", "replace"}


def looks(tree: ast.Module) -> Iterator[str]:
    """What a file imports and should not, and what of its calls looks at the disk."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name not in MODULES)
        elif isinstance(node, ast.ImportFrom) and not str(node.module).startswith("smoke."):
            yield from [str(node.module)] if node.module not in MODULES else []
        elif isinstance(node, ast.Attribute) and node.attr in LOOKS:
            yield node.attr
        elif isinstance(node, ast.Name) and node.id in ("open", "exec", "eval", "__import__"):
            yield node.id


@pytest.mark.parametrize("path", JUDGES, ids=lambda path: path.stem)
def test_no_judge_looks_by_itself(path: Path) -> None:
    assert list(looks(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    "line", ["import os", "from subprocess import run", "path.resolve()", "library.path.read_bytes()", "open(name)"]
)
def test_a_look_is_seen(line: str) -> None:
    assert list(looks(ast.parse(line)))


def test_the_facts_are_all_that_is_judged(env: Environment, tmp_path: Path, loads: Callable[..., None]) -> None:
    """The verdicts are the same, fault for fault, when the environment is gone."""
    (env.site / "nvidia/cudnn/lib/libcudnn_ops.so.9").unlink()
    (env.site / "framework/__init__.py").write_text("changed")
    (env.site / "unlisted.py").write_text("")
    env.add("nvidia-double", "13.2", {"nvidia/double/lib/libcudart.so.13": library("libcudart.so.13")})
    found = survey(env.site)
    closure, hidden = gather_closure(found), hide_one(found, tmp_path / "view")
    packages = gather_packages(found, [str(env.site)])
    runtime = env.site / "nvidia/cu13/lib/libcudart.so.13"
    loaded = Loaded((Mapped(runtime, runtime, "13.2", "13.2"),), found, {}, {})

    def verdicts() -> list[Any]:
        plan = planned()
        return [
            judge_closure(closure, plan),
            judge_hidden(hidden, plan),
            judge_coverage(found, [(9, 0)]),
            stack_of(closure),
            judge_packages(packages, {"framework": "1.0"}),
            judge_loaded(loaded, "13.2", {"nvidia-cuda-runtime": "13.2.86"}),
        ]

    before = verdicts()
    assert "belongs to nvidia-cudnn-cu13" in before[0].reason
    assert "libcudart comes from 2 places" in before[0].reason
    assert "framework/__init__.py has 7 bytes, its RECORD says 0" in before[4].reason
    assert "unlisted.py" in before[4].reason
    shutil.rmtree(tmp_path)
    assert verdicts() == before
