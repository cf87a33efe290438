"""What holds of the files of everyday use, read from their syntax trees: no framework but one is imported here."""

from __future__ import annotations

import ast
import json
import math
import re
import subprocess
import sys

import pytest

from smoke import SUITE, plan
from smoke.everyday import Everyday
from tests.unit.smoke.contract import contract, drift, functions

FRAMEWORKS = plan.frameworks()
CONTRACT = contract(Everyday)
NAME = re.compile("[a-z0-9]+(-[a-z0-9]+)*")
BACKENDS = {path.stem for path in (plan.FRAMEWORKS / "_backends").glob("*.py")} - {"__init__"}


def _path(name):
    return plan.EVERYDAY / f"{name}.py"


def _declared(name, constant):
    return plan.literal(_path(name), constant)


def test_each_framework_has_a_file_and_no_other_has():
    assert {path.stem for path in plan.EVERYDAY.glob("*.py")} - {"__init__"} == set(FRAMEWORKS)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_each_file_keeps_the_contract(name):
    tree = ast.parse(_path(name).read_text())
    assert drift(tree, CONTRACT) == []
    for constant in Everyday.__annotations__:
        _declared(name, constant)
    for function in functions(tree).values():
        assert ast.unparse(function.returns) == "list[float]"
        assert {ast.unparse(one.annotation) for one in function.args.args} == {"str"}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_names_are_names_and_there_is_one_of_each(name):
    assert _declared(name, "FORMATS")
    for constant in ("FORMATS", "EXTENSIONS"):
        names = _declared(name, constant)
        assert isinstance(names, tuple)
        assert len(set(names)) == len(names)
        assert all(NAME.fullmatch(one) for one in names)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_what_cannot_be_is_known_and_has_a_reason(name):
    known = {f"files.{one}" for one in _declared(name, "FORMATS")}
    known |= {f"extension.{one}" for one in _declared(name, "EXTENSIONS")}
    backends = BACKENDS if name == "keras" else set()
    for what, reason in _declared(name, "CANNOT").items():
        kind, one, *backend = what.split(".")
        assert f"{kind}.{one}" in known, what
        assert len(backend) <= 1, what
        assert set(backend) <= backends, what
        assert reason.strip(), what


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_each_format_has_its_writer_and_its_reader(name):
    """The larger files find both by the format's name."""
    tree = ast.parse(_path(name).read_text())
    if "_named(" not in ast.unparse(tree):
        return
    there = {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}
    there |= {target.id for one in tree.body if isinstance(one, ast.Assign) for target in one.targets
              if isinstance(target, ast.Name)}  # fmt: skip
    wanted = {
        prefix + one.replace("-", "_") for one in _declared(name, "FORMATS") for prefix in ("_write_", "_read_")
    }
    assert wanted <= there
    assert {one for one in there if one.startswith(("_write_", "_read_"))} >= wanted


def _numbers(*arguments):
    code = "import json, sys; from smoke.everyday import autograd as file\n"
    code += "print(json.dumps(getattr(file, sys.argv[1])(*sys.argv[2:])))"
    command = [sys.executable, "-c", code, *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, cwd=SUITE.parent).stdout)


@pytest.mark.parametrize("name", _declared("autograd", "FORMATS"))
def test_what_one_process_writes_another_reads(name, tmp_path):
    written = _numbers("write", name, str(tmp_path))
    assert _numbers("read", name, str(tmp_path)) == written
    assert len(written) >= 4
    assert len(set(written)) > 1
    assert all(map(math.isfinite, written))
