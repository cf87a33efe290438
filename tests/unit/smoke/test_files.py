"""What holds of every file of the suite, read from its syntax tree: no framework is imported here."""

from __future__ import annotations

import ast
import importlib
import inspect

import mypy.api
import pytest

from smoke import SUITE, gates, plan
from smoke.checks.faults import TRAININGS
from smoke.frameworks import Framework
from smoke.report import report
from smoke.runner.families import FAMILIES, STAGES
from tests.unit.smoke.contract import contract, drift

FRAMEWORKS = plan.frameworks()
FILES = sorted(report.SUITE.rglob("*.py"))
CONTRACT = contract(Framework)
OF_FRAMEWORKS = {"torch", "torchvision", "tensorflow", "keras", "jax", "jaxlib", "autograd", "mxnet", "caffe"}


def _tree(name):
    return ast.parse((plan.FRAMEWORKS / (name + ".py")).read_text())


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_each_framework_keeps_the_contract(name):
    assert drift(_tree(name), CONTRACT) == []
    for constant in Framework.__annotations__:
        plan.declared(name, constant)


def test_a_type_checker_finds_each_framework_to_be_one_and_another_file_not():
    """Frameworks that are not installed here are of any type."""
    names = sorted(FRAMEWORKS)
    lines = [
        f"from smoke.frameworks import Framework, {', '.join(names)}",
        "from smoke import gates",
        *(f"{name}_: Framework = {name}" for name in names),
        "wrong: Framework = gates",
    ]
    cache = SUITE.parent / ".mypy_cache/frameworks"
    options = ["--config-file=", f"--cache-dir={cache}", "--ignore-missing-imports", "--follow-imports=silent"]
    said, failed, _ = mypy.api.run([*options, "-c", "\n".join(lines)])
    assert not failed, failed
    assert said.startswith(f"<string>:{len(lines)}: error: Incompatible types"), said
    assert "Found 1 error" in said, said


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("def matmul(", "def mat_mul(", "matmul is missing"),
        ("def matmul(a: ", "def matmul(first: ", "matmul takes"),
        ("def describe()", "def describe(more=1)", "describe takes"),
        ("def _kind(", "def kind(", "kind is not in the contract"),
    ],
)
def test_drift_is_seen(before, after, said):
    text = (plan.FRAMEWORKS / "autograd.py").read_text()
    assert before in text
    assert any(one.startswith(said) for one in drift(ast.parse(text.replace(before, after)), CONTRACT))


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_reasons_are_texts_and_names_are_known(name):
    cannot = plan.declared(name, "CANNOT")
    known = {family.name for family in FAMILIES} | {"f64", "f32", "tf32", "fp16", "bf16"}
    for what, reason in cannot.items():
        assert reason.strip(), what
        assert what.split(".")[0] in known | {family.prefix for family in FAMILIES}, what


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(report.SUITE).as_posix())
def test_walls(path):
    imported = set(_imports(path))
    assert not any(one.split(".")[0] == "assay" for one in imported)
    frameworks = {one.split(".")[0] for one in imported} & OF_FRAMEWORKS
    if path.parent.name in {"everyday", "ranks"} and not path.stem.startswith("_"):
        assert path.stem in plan.frameworks()
        assert not any(one.startswith("smoke.frameworks._backends") for one in imported)
        return
    shared = path.parent.name == "_backends"
    if not (shared or path.parent.name in {"frameworks", "everyday"}) or path.stem == "__init__":
        assert not frameworks
        return
    if shared:
        assert frameworks == {path.stem}
    named = {one for one in imported if one.startswith("smoke.frameworks.")}
    allowed = {"smoke.frameworks.Cannot", "smoke.frameworks.DeviceMissing"}
    assert named <= (allowed if shared else {*allowed, f"smoke.frameworks._backends.{path.stem}"})


def _module(name):
    """True if there is such a module in the suite; a framework's file is never asked, since it imports one."""
    path = SUITE.parent / name.replace(".", "/")
    is_framework = path.parent.name in ("frameworks", "_backends", "everyday")
    is_framework |= path.parent.name == "ranks" and not path.name.startswith("_")
    return not is_framework and (path.is_dir() or path.with_suffix(".py").is_file())


def _taken(path):
    """What a file of the suite takes from other modules of it by their names, as (module, name)."""
    tree = ast.parse(path.read_text())
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    names = {one.asname or one.name: f"{node.module}.{one.name}" for node in froms for one in node.names}
    modules = {short: name for short, name in names.items() if name.startswith("smoke.") and _module(name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield modules[node.value.id], node.attr


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(report.SUITE).as_posix())
def test_what_a_file_takes_from_another_is_there(path):
    """Many a line runs only in an image, long after the tests: there it would be found that a name is gone.

    A module that the other one imports for itself is not what is taken from it, even if it has that name.
    """
    taken = {(module, name): getattr(importlib.import_module(module), name, None) for module, name in _taken(path)}
    assert not [name for name, found in taken.items() if found is None or inspect.ismodule(found)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(report.SUITE).as_posix())
def test_python_3_9_reads_it(path):
    ast.parse(path.read_text(), feature_version=(3, 9))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_each_family_has_a_check_and_a_chain(family):
    assert callable(importlib.import_module("smoke.checks." + family.name).run)
    chains = [chain for stage in STAGES for chain in stage if set(family.processes) <= set(chain)]
    assert len(chains) == 1
    order = [process for process in chains[0] if process in family.processes]
    assert tuple(order) == family.processes


def test_no_check_is_left_out_of_the_table():
    """Beside them lies what each is handed: the context."""
    there = {path.stem for path in (SUITE / "checks").iterdir()} - {"__init__", "__pycache__", "context"}
    assert there == {family.name for family in FAMILIES}


def test_the_gates_name_exactly_the_faults_that_are_put_in():
    assert gates.faults() == {*TRAININGS, "cpu-fallback"}


def test_gates_are_decimal_strings():
    def leaves(value):
        if isinstance(value, dict):
            for one in value.values():
                yield from leaves(one)
        elif not isinstance(value, list):  # names of faults
            yield value

    numbers = {name: value for name, value in gates.load().items() if name != "schema"}
    for leaf in leaves(numbers):
        assert isinstance(leaf, str)
        assert float(leaf) >= 0


def test_gates_of_another_schema_are_refused(tmp_path):
    path = tmp_path / "gates.json"
    path.write_text('{"schema": 2}')
    with pytest.raises(ValueError, match="schema 2"):
        gates.load(path)
