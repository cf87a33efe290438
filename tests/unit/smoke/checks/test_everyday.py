"""What people do every day: programs, modules, files and extensions, each with what it must not let through."""

import sys
from importlib import metadata
from types import MappingProxyType

import pytest

from smoke.checks import extensions, files, modules, programs
from tests.unit.smoke.checks.contexts import context

# Programs


def program(folder, text):
    path = folder / "program"
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("print('usage: program')", ""),
        ("import sys; sys.exit(2)", ""),  # it knows no --help, and says so
        ("import sys; open(sys.argv[1]) if len(sys.argv) > 1 else print('usage: program FILE')", ""),
        ("import nowhere", "ModuleNotFoundError: No module named 'nowhere'"),
        ("import os; os.abort()", "was ended by signal 6"),
        ("import sys; print('ninja: not found'); sys.exit(127)", "ended with 127: ninja: not found"),
        ("import time; time.sleep(60)", "came to no end within 1 s"),
        ("import subprocess; subprocess.Popen(['sleep', '60'])", "came to no end within 1 s"),
        ("assert input()", "EOFError: EOF when reading a line"),
    ],
)
def test_how_a_program_starts(tmp_path, text, wrong):
    assert programs.start(program(tmp_path, text), tmp_path, seconds=1) == wrong


def test_a_program_that_is_not_there(tmp_path):
    assert programs.start(tmp_path / "gone", tmp_path) == "cannot be run: No such file or directory"


def test_the_programs_are_those_of_the_packages_that_were_locked(tmp_path, monkeypatch):
    for name, bins in {"locked": "one-program", "another": "other-program"}.items():
        info = tmp_path / f"lib/{name}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Name: {name}\n")
        (info / "RECORD").write_text(f"../bin/{bins},,\n{name}.py,,\n")
        (info / "entry_points.txt").write_text(f"[console_scripts]\n{name}-script = {name}:main\n")
    found = [metadata.PathDistribution(path) for path in (tmp_path / "lib").iterdir()]
    monkeypatch.setattr(metadata, "distributions", lambda: found)
    assert programs.programs(tmp_path, ["Locked"]) == ["locked-script", "one-program"]


@pytest.mark.parametrize(
    ("found", "broken", "said"),
    [
        ({"a": ""}, {}, ""),
        ({"a": "", "b": "ImportError"}, {"b": "upstream"}, ""),
        ({"a": "ImportError: x"}, {}, "a: ImportError: x"),
        ({"a": ""}, {"a": "upstream"}, "a starts, and image.toml says that it does not"),
        ({"a": ""}, {"b": "upstream"}, "b is not there, and image.toml names it"),
        ({}, {}, "tried 0 (>= 1)"),
    ],
)
def test_what_is_judged_of_programs(found, broken, said):
    result = programs.judge_programs(found, broken, "1")
    assert (result.state, result.reason) == ("fail" if said else "pass", said)


# Modules


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package with modules that can be imported, that cannot, and that end the process."""
    texts = {
        "__init__.py": "",
        "good.py": "print('on standard output')",
        "lacks.py": "import nowhere",
        "ends.py": "import sys; sys.exit(3)",
        "crashes.py": "import os; os._exit(9)",
        "_private.py": "1/0",
        "tests/__init__.py": "1/0",
        "deep/__init__.py": "",
        "deep/deeper.py": "",
        "deep/deeper2/__init__.py": "",
        "deep/deeper2/deepest.py": "1/0",
        "data/file.py": "1/0",
        "not-a-name.py": "1/0",
        "library.so": "",
    }
    for name, text in texts.items():
        (tmp_path / "pack" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pack" / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "pack"


PUBLIC = ["pack", "pack.crashes", "pack.deep", "pack.deep.deeper", "pack.deep.deeper2", "pack.ends", "pack.good"]


def test_the_public_modules_of_a_package(package):
    assert modules.public(package) == [*PUBLIC, "pack.lacks"]
    assert modules.public("no_such_package") == ["no_such_package"]


def test_each_is_imported_whatever_the_others_do(package, tmp_path):
    found = modules.imported(modules.public(package), tmp_path, 30)
    wrong = {name: what for name, what in found.items() if what}
    assert wrong == {
        "pack.crashes": "ended the process with 9",
        "pack.ends": "SystemExit: 3",
        "pack.lacks": "ModuleNotFoundError: No module named 'nowhere'",
    }
    assert set(found) == {*PUBLIC, "pack.lacks"}


def test_a_module_that_does_not_come_to_an_end_is_named(tmp_path, monkeypatch):
    (tmp_path / "waits.py").write_text("import time; time.sleep(60)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = modules.imported(["json", "waits", "csv"], tmp_path, 2)
    assert (found["json"], found["waits"]) == ("", "came to no end in time")


@pytest.mark.parametrize(
    ("found", "left_out", "said"),
    [
        ({"a": ""}, {}, ""),
        ({"a": "", "a.b": "ModuleNotFoundError: x"}, {"a.b": "pip install x"}, ""),
        ({"a.b": "ModuleNotFoundError: x"}, {}, "a.b: ModuleNotFoundError: x"),
        ({"a.b": ""}, {"a.b": "pip install x"}, "a.b can be imported, or is not there, and image.toml says"),
        ({"a": ""}, {"a.c": "pip install x"}, "a.c can be imported, or is not there, and image.toml says"),
        ({"a.b": "SkipTest: y"}, {"a.b": "it is for an older one"}, ""),
        ({"a.b": "ended the process with -11"}, {"a.b": "pip install x"}, "a.b ended the process with -11, and"),
        ({"a.b": "was not reached"}, {"a.b": "pip install x"}, "a.b was not reached, and image.toml"),
        ({}, {}, "tried 0 (>= 1)"),
    ],
)
def test_what_is_judged_of_modules(found, left_out, said):
    result = modules.judge_modules(found, left_out, "1")
    assert result.state == ("fail" if said else "pass")
    assert result.reason.startswith(said)


# Files and extensions


class Everyday:
    """A framework's everyday file, whose savers do what the test says."""

    FORMATS = ("good", "rounds", "forgets", "cannot-write", "cannot-read", "nothing", "few", "infinite", "not-here")
    EXTENSIONS = ("right", "wrong", "short", "fails", "not-here")
    CANNOT = MappingProxyType({"files.not-here": "upstream has none", "extensions.not-here": "upstream has none"})
    NUMBERS = (0.1, 0.2, 0.3, 0.5)

    def write(self, name, folder):
        if name == "cannot-write":
            raise OSError("no room")
        if name != "nothing":
            (files.Path(folder) / "file").write_text("saved")
        return {"few": [1.0, 1.0, 1.0, 1.0], "infinite": [*self.NUMBERS, float("nan")]}.get(name, self.NUMBERS)

    def read(self, name, folder):
        if name == "cannot-read":
            raise ValueError("no such format")
        special = {"rounds": [0.1, 0.2, 0.30000000000000004, 0.5], "forgets": self.NUMBERS[:3]}
        return {**special, "few": [1.0] * 4, "infinite": [*self.NUMBERS, float("nan")]}.get(name, self.NUMBERS)

    def extend(self, name, folder):
        assert files.Path(folder).is_dir()
        if name == "fails":
            raise SystemExit("Ninja is required")
        return {"right": [1, 3, 5, 7], "wrong": [1, 3, 5, 8], "short": [1, 3, 5]}[name]


@pytest.fixture
def everyday(tmp_path, monkeypatch):
    found = context(tmp_path)
    monkeypatch.setattr(type(found), "everyday", lambda _: Everyday())
    return found


def test_files_are_written_by_one_process_and_read_by_another(everyday):
    assert list(files.run("write", everyday)) == []
    states = {one.id.rpartition(".")[2]: (one.state, one.reason) for one in files.run("read", everyday)}
    assert states == {
        "good": ("pass", ""),
        "rounds": ("fail", "different 1 (<= 0)"),
        "forgets": ("fail", "different 1 (<= 0)"),
        "cannot-write": ("error", "it cannot be written: OSError: no room"),
        "cannot-read": ("error", "it cannot be read: ValueError: no such format"),
        "nothing": ("fail", "bytes 0 (>= 1)"),
        "few": ("fail", "numbers 1 (>= 4)"),
        "infinite": ("fail", "different 1 (<= 0)"),
        "not-here": ("not-run", "upstream has none"),
    }


def test_what_was_never_written_is_no_pass(everyday):
    (everyday.scratch / "files").mkdir()
    states = {one.state for one in files.run("read", everyday)}
    assert states == {"error", "not-run"}


def test_extensions_compute_what_they_must(everyday):
    states = {one.id.rpartition(".")[2]: (one.state, one.reason) for one in extensions.run("write", everyday)}
    assert states == {
        "right": ("pass", ""),
        "wrong": ("fail", "wrong 1 (<= 0)"),
        "short": ("fail", "wrong 1 (<= 0)"),
        "fails": ("error", "SystemExit: Ninja is required"),
        "not-here": ("not-run", "upstream has none"),
    }
