"""Which files of the suite an image carries, and which of them its certificate depends on: the host's rule, the
suite's own, and what is really used."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import py_compile
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay import build, catalog
from assay.catalog import Catalog
from assay.certificate import suite_files as suite
from assay.errors import UsageError
from smoke import suite as inside
from smoke.runner.families import FAMILIES

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / "smoke"
TABLE = json.loads((SUITE / "suite.json").read_text())
# The files that suite.json names as outside, and one of each folder that it names.
OUTSIDE = [
    name if (SUITE / name).is_file() else max((SUITE / name).glob("*.py")).relative_to(SUITE).as_posix()
    for name in TABLE["outside"]
]
CATALOG = catalog.load(ROOT)
FRAMEWORKS = {image.name: image.framework.name for image in CATALOG.frameworks() if image.framework}


def names(paths: list[Path], folder: Path = SUITE) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in paths]


# ---- one rule, on both sides of the border


@pytest.mark.parametrize("framework", sorted({*FRAMEWORKS.values(), "autograd"}))
def test_host_and_suite_agree(framework: str) -> None:
    assert names(suite.carried(SUITE, framework)) == inside.carried(SUITE, framework)
    assert suite.digest(SUITE, framework) == inside.digest(SUITE, framework) == suite.digests(SUITE)[framework]


PART = st.sampled_from(
    ["a", "a.py", "a.c", "a_b.py", "a_b.c", "a_b", "_s", "_s.py", "b.py", "__init__.py", "__pycache__", "c.pyc", "f"]
)
PLACE = st.lists(PART, min_size=1, max_size=3).map("/".join)


@given(
    files=st.sets(PLACE | PLACE.map("f/{}".format)),
    outside=st.lists(PLACE, max_size=2),
    framework=st.sampled_from(["a", "a_b", "b", "a.c", ""]),
)
def test_host_and_suite_agree_on_any_folder(
    tmp_path_factory: pytest.TempPathFactory, files: set[str], outside: list[str], framework: str
) -> None:
    folder = tmp_path_factory.mktemp("suite")
    (folder / "suite.json").write_text(json.dumps({"schema": 1, "by_framework": ["f", "e"], "outside": outside}))
    for name in sorted(files):
        path = folder / name
        if not any(parent.is_file() for parent in path.parents) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
    found = suite.carried(folder, framework)
    assert names(found, folder) == inside.carried(folder, framework)
    assert suite.digest(folder, framework) == inside.digest(folder, framework)
    assert set(inside.files(folder, framework)) <= set(names(found, folder))
    for name in names(found, folder):
        assert not name.startswith("f/") or name[2:].startswith(("_", framework)), "it is another framework's"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "suite.json").write_text(
        '{"schema": 1, "by_framework": ["frameworks", "everyday"], "outside": ["aside"]}'
    )
    for name in ("run.py", "aside/x.py", "frameworks/torch.py", "frameworks/jax.py", "frameworks/jax_capi.c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_what_a_digest_sees(small: Path) -> None:
    before = suite.digest(small, "torch")

    def changes(name: str) -> bool:
        path = small / name
        old = path.read_bytes() if path.is_file() else None
        path.parent.mkdir(exist_ok=True)
        path.write_text("changed")
        found = suite.digest(small, "torch")
        path.unlink() if old is None else path.write_bytes(old)
        assert suite.digest(small, "torch") == before
        return found != before

    for name in ("run.py", "new.py", "asides.py", "frameworks/torch.py", "frameworks/torch.c", "frameworks/_all.py"):
        assert changes(name), name
    for name in ("aside/x.py", "frameworks/jax.py", "frameworks/jax_capi.c", "__pycache__/run.pyc", "run.pyc"):
        assert not changes(name), name
    (small / "run.py").rename(small / "ran.py")
    assert suite.digest(small, "torch") != before


@pytest.mark.parametrize(
    "text", [None, "{", "[]", '{"schema": 1}', '{"schema": 1, "by_framework": 1, "outside": []}']
)
def test_a_table_that_cannot_be_read(small: Path, text: str | None) -> None:
    (small / "suite.json").unlink()
    if text is not None:
        (small / "suite.json").write_text(text)
    with pytest.raises(UsageError, match=r"suite\.json cannot be read"):
        suite.digests(small)


# ---- what a change costs


def keys(cat: Catalog) -> dict[str, str]:
    return {name: build.input_key(cat, cat.get(name), "sha256:parent") for name in FRAMEWORKS}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("images", "smoke"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def cost(checkout: Path, name: str) -> tuple[set[str], set[str]]:
    """The images whose digest of the suite, and those whose key, is another one after a change to a file."""
    cat = catalog.load(checkout)
    digests, before = suite.digests(checkout / "smoke"), keys(cat)
    with (checkout / name).open("a") as file:
        file.write("\n")
    now, after = suite.digests(checkout / "smoke"), keys(cat)
    return (
        {image for image, framework in FRAMEWORKS.items() if now[framework] != digests[framework]},
        {image for image in FRAMEWORKS if before[image] != after[image]},
    )


@pytest.mark.parametrize("name", ["mxnet.py", "mxnet_capi.c"])
def test_a_frameworks_file_costs_its_own_images(checkout: Path, name: str) -> None:
    own = {image for image, framework in FRAMEWORKS.items() if framework == "mxnet"}
    assert len(own) == 1
    assert cost(checkout, f"smoke/frameworks/{name}") == (own, own)


def test_a_file_of_several_images_costs_each(checkout: Path) -> None:
    own = {image for image, framework in FRAMEWORKS.items() if framework == "torch"}
    assert len(own) > 1
    assert cost(checkout, "smoke/frameworks/torch.py") == (own, own)


@pytest.mark.parametrize(
    "name", ["checks/parity.py", "gates.json", "frameworks/__init__.py", "frameworks/_backends/jax.py", "suite.json"]
)
def test_a_check_costs_all(checkout: Path, name: str) -> None:
    assert cost(checkout, f"smoke/{name}") == (set(FRAMEWORKS), set(FRAMEWORKS))


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_certifies_nothing_costs_a_layer_and_no_certificate(checkout: Path, name: str) -> None:
    assert cost(checkout, f"smoke/{name}") == (set(), set(FRAMEWORKS))


def test_the_oracle_of_the_tests_costs_nothing(checkout: Path) -> None:
    assert cost(checkout, "smoke/frameworks/autograd.py") == (set(), set())


# ---- what a certifying run uses


def module_file(name: str) -> Path | None:
    """The file of one of the suite's modules; None for what is none."""
    place = ROOT / name.replace(".", "/")
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


@cache
def imported(path: Path) -> tuple[str, ...]:
    """The suite's modules that a file imports, wherever it does so, or runs with ``python -m`` or ``python -c``."""
    # By --compare, which no certifying run is.
    only_asked_for = {"smoke.report.compare", "smoke.report.published"} if path.name == "__main__.py" else set()
    several: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found = [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = re.findall(r"^smoke\.[a-z_.]+$|(?<=from )smoke\.[a-z_.]+(?= import )", node.value)
        else:
            continue
        several += [name for name in found if name.startswith("smoke") and name not in only_asked_for]
    return tuple(several)


@cache
def used(framework: str) -> set[str]:
    """The files that `python -m smoke` uses to certify a framework: by its imports, and theirs."""
    waiting = ["smoke.__main__", *(f"smoke.{place}.{framework}" for place in TABLE["by_framework"])]
    waiting += [f"smoke.checks.{one.name}" for one in FAMILIES]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        parents = [name.rsplit(".", depth)[0] for depth in range(name.count(".") + 1)]
        for path in filter(None, map(module_file, parents)):
            if path.relative_to(SUITE).as_posix() not in found:
                found.add(path.relative_to(SUITE).as_posix())
                waiting += imported(path)
    return found


@pytest.mark.parametrize("framework", sorted(set(FRAMEWORKS.values())))
def test_a_certificate_depends_on_all_that_certifies_it(framework: str) -> None:
    assert used(framework) <= set(inside.files(SUITE, framework))


def test_and_on_nothing_else() -> None:
    """Each file that certificates depend on certifies: a module is imported, and another file is named by one."""
    certifying = set.union(*(used(framework) for framework in FRAMEWORKS.values()))
    texts = "".join((SUITE / name).read_text() for name in certifying)
    for framework in set(FRAMEWORKS.values()):
        for name in inside.files(SUITE, framework):
            stem, suffix = Path(name).stem, Path(name).suffix
            if suffix == ".py":
                assert name in certifying, f"{name} certifies nothing: suite.json can name it"
            else:
                assert stem + suffix in texts or f'"{stem}"' in texts or f'with_suffix("{suffix}")' in texts, name


def test_what_is_outside_is_there() -> None:
    for name in TABLE["outside"]:
        assert (SUITE / name).exists(), name


# ---- what the last step of a build puts into an image


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """What images/common/install/suite.sh makes of the suite, in a folder in place of an image's root."""
    script = (ROOT / "images/common/install/suite.sh").read_text()
    for place in ("/run/", "/opt/"):
        script = script.replace(place, f"{tmp_path}{place}")
    (tmp_path / "install").write_text(script.replace("set_times /opt /home", f"set_times {tmp_path}/opt"))
    (tmp_path / "opt/env/bin").mkdir(parents=True)
    (tmp_path / "opt/env/bin/python").symlink_to(sys.executable)
    (tmp_path / "run").mkdir()
    for name, target in (("smoke", SUITE), ("common", ROOT / "images/common")):
        shutil.copytree(target, tmp_path / "run" / name, ignore=shutil.ignore_patterns("__pycache__"))
    common = tmp_path / "run/common/install/env.sh"
    common.write_text(common.read_text().replace("/run/", f"{tmp_path}/run/").replace("/opt/", f"{tmp_path}/opt/"))
    return tmp_path


def install(
    installed: Path, framework: str, packages: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    about = {"name": framework, "module": framework}
    plan = json.dumps({"schema": 1, "framework": about, "packages": packages or {}}, separators=(",", ":"))
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "PLAN": plan}
    return subprocess.run(
        ["sh", str(installed / "install")], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("framework", ["mxnet", "torch"])
def test_an_image_carries_its_own_framework_alone(installed: Path, framework: str) -> None:
    done = install(installed, framework)
    assert done.returncode == 0, done.stderr
    put_in = installed / "opt/assay/smoke"
    there = {path.relative_to(put_in).as_posix() for path in put_in.rglob("*") if path.is_file()}
    sources = {name for name in there if "__pycache__" not in name}
    assert sources == set(inside.carried(SUITE, framework))
    shared = ("frameworks/__init__", "frameworks/_backends/")
    assert {name for name in sources if name.startswith("frameworks/") and not name.startswith(shared)} == {
        f"frameworks/{path.name}" for path in (SUITE / "frameworks").glob(f"{framework}[._]*")
    }
    assert suite.digest(put_in, framework) == suite.digest(SUITE, framework)
    assert {path.stat().st_mode & 0o777 for path in put_in.rglob("*.py")} == {0o644}
    assert json.loads((installed / "opt/assay/coverage.json").read_text())["schema"] == 1


PLANTED = "import pathlib; pathlib.Path({mark!r}).touch(); raise SystemExit('planted')"


def planted(path: Path, mark: Path) -> None:
    """Byte code beside a source, which Python takes for the source's without looking at it."""
    code = path.parent / "mark.py"
    code.write_text(PLANTED.format(mark=str(mark)))
    target = importlib.util.cache_from_source(str(path))
    py_compile.compile(str(code), cfile=target, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    code.unlink()


def test_byte_code_that_lies_in_the_checkout_is_neither_run_nor_carried(installed: Path, tmp_path: Path) -> None:
    """No digest covers it, and git shows it to nobody."""
    (package,) = (installed / "run/common/beside").glob("assay-jax/jax_plugins")
    for module in (installed / "run/smoke/suite.py", installed / "run/smoke/__init__.py", package / "gone.py"):
        planted(module, tmp_path / "planted")
    site = tmp_path / "site"
    script = (installed / "install").read_text()
    start, end = "site=$(", ")\n"
    head, _, rest = script.partition(start)
    (installed / "install").write_text(f"{head}site={site}\n{rest.partition(end)[2]}")
    done = install(installed, "jax", packages={"assay-jax": "1"})
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "planted").exists()
    carried = [path.name for path in site.rglob("*") if path.is_file()]
    assert "__init__.py" in carried
    assert "METADATA" in carried
    assert not [name for name in carried if name.startswith("gone")]


def test_a_framework_that_the_suite_has_no_file_of(installed: Path) -> None:
    done = install(installed, "nobodys")
    assert done.returncode == 2
    assert "the suite has no frameworks/nobodys.py" in done.stderr
