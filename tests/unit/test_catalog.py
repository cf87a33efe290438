from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assay import catalog
from assay.catalog import Pin
from assay.errors import UsageError

REPOSITORY = Path(__file__).parents[2]
A, B = "a" * 64, "b" * 64

BASE = """
[image]
summary = "Debian"
[base]
suite = "trixie"
platform = "x86_64-manylinux_2_40"
include = ["python3"]
[labels]
python = "3.13"
"""
STACK = """
[image]
parent = "base/trixie"
summary = "CUDA 1"
[labels]
cuda = "1.0"
"""
FRAMEWORK = """
[image]
parent = "cuda/1.0"
summary = "A framework"
workloads = ["digits"]
notes = ["2.0 does not import"]
[framework]
name = "torch"
module = "torch"
[limits]
size_gb = 9
"""
STACK_LOCK = f"cuda-lib==1.0 --hash=sha256:{A}\n"
LOCK = f"# remark\ncuda-lib==1.0 \\\n    --hash=sha256:{A}\n    # via torch\ntorch==2.0 --hash=sha256:{B}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "base/trixie/image.toml": BASE,
        "base/Dockerfile": "FROM scratch",
        "cuda/Dockerfile": "FROM scratch",
        "cuda/1.0/image.toml": STACK,
        "cuda/1.0/requirements.in": "cuda-lib==1.0",
        "cuda/1.0/requirements.lock": STACK_LOCK,
        "torchy/Dockerfile": "FROM scratch",
        "torchy/image.toml": FRAMEWORK,
        "torchy/requirements.in": "torch==2.0  # the newest",
        "torchy/requirements.lock": LOCK,
        "common/entrypoint": "not an image",
    }
    for name, text in files.items():
        write(tmp_path, name, text)
    return tmp_path


def write(root: Path, name: str, content: str | bytes) -> None:
    path = root / "images" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def refused(root: Path, *fragments: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        catalog.load(root)
    assert len(str(caught.value).splitlines()) == 2
    for fragment in fragments:
        assert fragment in str(caught.value)
    return caught.value


def test_until_when_a_suite_is_supported(root: Path) -> None:
    write(
        root,
        "base/trixie/image.toml",
        BASE.replace('suite = "trixie"', 'suite = "trixie"\nsupported_until = "2030-06"'),
    )
    found = catalog.load(root)
    assert found.get("base/trixie").supported_until == "2030-06"
    assert found.get("torchy").supported_until == "2030-06", "what stands on it is supported no longer"
    for wrong in ('"2030-13"', '"June 2030"', "2030", '"2030-06-30"'):
        text = BASE.replace('suite = "trixie"', f'suite = "trixie"\nsupported_until = {wrong}')
        write(root, "base/trixie/image.toml", text)
        refused(root, "images/base/trixie/image.toml: base.supported_until")


def test_a_catalog_holds_what_the_folders_say(root: Path) -> None:
    images = catalog.load(root)
    assert list(images.images) == ["base/trixie", "cuda/1.0", "torchy"]
    base, stack, framework = images.images.values()
    assert (base.suite, base.include, base.parent, base.framework) == ("trixie", ("python3",), None, None)
    assert stack.dockerfile == root / "images/cuda/Dockerfile"
    assert framework.dockerfile == root / "images/torchy/Dockerfile"
    assert framework.framework == catalog.Framework("torch", "torch", None)
    assert framework.labels == {"python": "3.13", "cuda": "1.0"}  # facts are stated once, where they are decided
    assert (framework.platform, framework.suite) == ("x86_64-manylinux_2_40", None)
    assert (framework.size_gb, framework.notes) == (9.0, ("2.0 does not import",))
    assert framework.lock == root / "images/torchy/requirements.lock"
    assert (base.lock, base.requirements, base.packages_lock) == (None, None, None)
    assert len({base, stack, framework}) == 3


def test_selection_and_order(root: Path) -> None:
    images = catalog.load(root)

    def names(found: tuple[catalog.Image, ...]) -> list[str]:
        return [image.name for image in found]

    assert names(images.select([])) == names(images.frameworks()) == ["torchy"]
    assert names(images.select(["cuda/1.0", "torchy", "cuda/1.0"])) == ["cuda/1.0", "torchy"]
    assert names(images.order([])) == ["base/trixie", "cuda/1.0", "torchy"]
    assert names(images.order(["cuda/1.0"])) == ["base/trixie", "cuda/1.0"]
    assert names(images.ancestors(images.get("torchy"))) == ["cuda/1.0", "base/trixie"]


def test_an_unknown_name_is_answered_with_the_nearest(root: Path) -> None:
    images = catalog.load(root)
    with pytest.raises(UsageError, match=r"no image is named 'torchi'\nDid you mean torchy\?"):
        images.order(["torchi"])
    with pytest.raises(UsageError, match=r"There are base/trixie, cuda/1\.0, torchy"):
        images.get("zzzzzz")


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
        ("torchy", "size_gb = 9", "size_gb = -1", ["limits.size_gb"]),
        ("torchy", "size_gb = 9", 'size_gb = "9"', ["limits.size_gb"]),
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
    path = root / "images" / name / "image.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    refused(root, *fragments)


def test_a_base_has_no_parent(root: Path) -> None:
    write(root, "torchy/image.toml", BASE.replace("[base]", 'parent = "base/trixie"\n[base]'))
    refused(root, "images/torchy/image.toml: image.parent does not go with [base]")


TOOLS = """
[image]
summary = "Compilers"
[tools]
suite = "trixie"
components = ["main", "contrib"]
include = ["g++"]
unpack = ["headers"]
sources = ["torchy"]
exclude = ["/usr/lib/*.a"]
"""


def with_tools(root: Path) -> None:
    write(root, "tools/torchy/image.toml", TOOLS)
    write(root, "torchy/image.toml", FRAMEWORK.replace("[framework]", 'build_tools = "tools/torchy"\n[framework]'))


def test_build_tools_are_no_image(root: Path) -> None:
    with_tools(root)
    images = catalog.load(root)
    tools = images.tools["tools/torchy"]
    assert list(images.images) == ["base/trixie", "cuda/1.0", "torchy"]
    assert (tools.suite, tools.include) == ("trixie", ("g++",))
    assert tools.tools == catalog.Tools(("main", "contrib"), ("headers",), ("torchy",), ("/usr/lib/*.a",))
    assert images.get("torchy").build_tools == tools
    assert [image.name for image in images.order([])] == ["base/trixie", "cuda/1.0", "torchy"]
    with pytest.raises(UsageError, match=r"tools/torchy are build tools, and no image is made of them\n.*assay lock"):
        images.get("tools/torchy")


@pytest.mark.parametrize(
    ("name", "old", "new", "fragments"),
    [
        (
            "torchy",
            "tools/torchy",
            "tools/torch",
            ["image.build_tools: there are no build tools named 'tools/torch'"],
        ),
        ("torchy", "tools/torchy", "cuda/1.0", ["image.build_tools: there are no build tools named 'cuda/1.0'"]),
        ("torchy", 'parent = "cuda/1.0"', 'parent = "tools/torchy"', ["image.parent: no image is named"]),
        ("tools/torchy", "[tools]", 'parent = "base/trixie"\n[tools]', ["image.parent does not go with [tools]"]),
        (
            "tools/torchy",
            "[tools]",
            '[base]\nsuite = "a"\nplatform = "b"\n[tools]',
            ["[tools] does not go with [base]"],
        ),
        ("tools/torchy", "components", "component", ["unknown key tools.component", "Did you mean components?"]),
        ("tools/torchy", '"/usr/lib/*.a"', '"/usr/$(id)"', ["tools.exclude"]),
        ("tools/torchy", '"g++"', '"g++ x"', ["tools.include"]),
    ],
)
def test_defects_of_build_tools(root: Path, name: str, old: str, new: str, fragments: list[str]) -> None:
    with_tools(root)
    path = root / "images" / name / "image.toml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    refused(root, *fragments)


def test_a_circle_is_named_in_order(root: Path) -> None:
    for name, parent in {"a": "b", "b": "c", "c": "a"}.items():
        write(root, f"{name}/image.toml", f'[image]\nsummary = "x"\nparent = "{parent}"\n')
    error = refused(root, "images/a/image.toml: image.parent")
    assert "a -> b -> c -> a" in error.what
    write(root, "a/image.toml", '[image]\nsummary = "x"\nparent = "a"\n')
    assert "a -> a" in refused(root).what


@pytest.mark.parametrize("name", ["Torch", "torch_", "a..b", "a---_b", "-a", "a/b/c", "ünder"])
def test_a_folder_that_is_no_repository_name(root: Path, name: str) -> None:
    write(root, f"{name}/image.toml", FRAMEWORK)
    refused(root, f"images/{name} is no name for an image")


@pytest.mark.parametrize("name", ["torch2", "a.b", "a__b", "a--b", "x/1.0-rc1"])
def test_a_folder_that_is_one(root: Path, name: str) -> None:
    write(root, f"{name}/image.toml", FRAMEWORK)
    write(root, f"{name}/Dockerfile", "FROM scratch")
    assert catalog.load(root).get(name).lock is None


def test_no_dockerfile_up_to_images(root: Path) -> None:
    (root / "images/torchy/Dockerfile").unlink()
    (root / "Dockerfile").write_text("FROM scratch")  # above images/: someone else's
    refused(root, "images/torchy has no Dockerfile")
    write(root, "Dockerfile", "FROM scratch")
    assert catalog.load(root).get("torchy").dockerfile == root / "images/Dockerfile"


def test_no_images(tmp_path: Path) -> None:
    refused(tmp_path, "holds no image.toml")


def test_requirements_and_lock_come_together(root: Path) -> None:
    lock = root / "images/torchy/requirements.lock"
    lock.unlink()
    refused(root, "images/torchy/requirements.lock is missing", "assay lock torchy")
    assert catalog.load(root, locked=False).get("torchy").lock is None
    lock.write_text(LOCK)
    (root / "images/torchy/requirements.in").unlink()
    refused(root, "has no requirements.in")


@pytest.mark.parametrize(
    ("line", "fragment"),
    [
        ("six", "six has no exact version"),
        ("six>=1", "six has no exact version"),
        ("six==1.*", "six has no exact version"),
        ("six===1x", "is no requirement"),
        ("six==1,==1", "six has no exact version"),
        ("six==1", "six has no hash"),
        ("six==1 --hash=sha256:abc", "is no hash"),
        (f"six==1 --hash=md5:{A}", "is no hash"),
        (f"six==1 --hash=sha256:{A.upper()}", "is no hash"),
        (f"six==1 ; python_version < '3' --hash=sha256:{A}", "has a condition"),
        (f"torch==2.0 --hash=sha256:{B}", "torch stands twice"),
        (f"Torch==2.0 --hash=sha256:{B}", "torch stands twice"),
        (f"six @ file:///wheels/six.whl --hash=sha256:{A}", "records an address or a path"),
        (f"six @ https://example.org/six.whl --hash=sha256:{A}", "records an address or a path"),
        (f"./six.whl --hash=sha256:{A}", "records an address or a path"),
        ("--index-url https://index.example/simple", "records an address or a path"),
        ("# --index-url http://index.example/simple", "records an address or a path"),
        ("--find-links /wheels", "records an address or a path"),
        ("    # via -r /home/me/requirements.in", "records an address or a path"),
        ("    # via -r ~/requirements.in", "records an address or a path"),
        (r"    # via -r C:\work\requirements.in", "records an address or a path"),
        (f"six==1 \\\n  --hash=sha256:{A}  # https://x.example", "records an address or a path"),
        ("-e .", "is no requirement"),
        ("<<<<<<< ours", "is no requirement"),
        pytest.param(f"six=={'1' * 5000} --hash=sha256:{A}", "is no requirement", id="digits"),
    ],
)
def test_a_lock_is_pinned_hashed_and_says_nothing_about_a_machine(root: Path, line: str, fragment: str) -> None:
    write(root, "torchy/requirements.lock", LOCK + line + "\n")
    refused(root, "images/torchy/requirements.lock:", fragment)


@pytest.mark.parametrize(
    "line", ["--index-url https://x.example", "-r other.in", "six @ https://x.example/a.whl", "="]
)
def test_requirements_are_requirements_only(root: Path, line: str) -> None:
    write(root, "torchy/requirements.in", f"torch==2.0\n{line}\n")
    refused(root, "images/torchy/requirements.in:2: ")


@pytest.mark.parametrize(
    ("pin", "fragment"),
    [
        (f"cuda-lib==1.1 --hash=sha256:{A}", "cuda-lib is 1.0 in cuda/1.0, and this lock has 1.1"),
        (f"cuda-lib==1.0 --hash=sha256:{B}", "has other hashes"),
        (f"cuda-lib==1.0 --hash=sha256:{A} --hash=sha256:{B}", "has other hashes"),
        ("", "lacks it"),
    ],
)
def test_a_lock_contains_that_of_its_stack(root: Path, pin: str, fragment: str) -> None:
    write(root, "torchy/requirements.lock", pin)
    refused(root, "images/torchy/requirements.lock: cuda-lib", fragment, "assay lock torchy")


SETUPTOOLS = "".join(f"{name}==1.0 --hash=sha256:{B}\n" for name in catalog.SDIST_BUILDERS)


def test_what_comes_as_source(root: Path) -> None:
    write(root, "torchy/image.toml", FRAMEWORK + '[sources]\nTorch = ["cuda-lib>=1.0"]\n')
    write(root, "torchy/requirements.lock", LOCK + SETUPTOOLS)
    assert catalog.load(root).get("torchy").sources == {"torch": ("cuda-lib>=1.0",)}


@pytest.mark.parametrize(
    ("table", "lock", "fragment"),
    [
        ("theano = []", LOCK + SETUPTOOLS, "sources.theano takes theano, which its requirements.lock lacks"),
        ("torch = []", LOCK, "sources.torch takes setuptools, which its requirements.lock lacks"),
        ('torch = ["a b c"]', LOCK + SETUPTOOLS, "sources.torch: 'a b c' is no requirement"),
        ('torch = ["a @ https://x.example/a"]', LOCK + SETUPTOOLS, "a comes from an address"),
        ("torch = 1", LOCK + SETUPTOOLS, "sources"),
    ],
)
def test_a_source_is_locked_and_so_is_what_builds_it(root: Path, table: str, lock: str, fragment: str) -> None:
    write(root, "torchy/image.toml", f"{FRAMEWORK}[sources]\n{table}\n")
    write(root, "torchy/requirements.lock", lock)
    refused(root, "images/torchy/image.toml", fragment)


@pytest.mark.parametrize("name", ["image.toml", "requirements.in", "requirements.lock"])
def test_what_is_not_utf8_is_said_so(root: Path, name: str) -> None:
    write(root, f"torchy/{name}", b"# caf\xe9")
    refused(root, f"images/torchy/{name} is not UTF-8")


@pytest.mark.parametrize("name", ["requirements.in", "requirements.lock"])
def test_a_folder_in_place_of_a_file(root: Path, name: str) -> None:
    path = root / "images/torchy" / name
    path.unlink()
    path.mkdir()
    refused(root, f"images/torchy/{name} cannot be read")


def test_pins() -> None:
    pins = catalog.parse_lock(f"Six_Seven==1.0+cu1 \\\r\n  --hash=sha256:{B} \\\r\n  --hash sha256:{A}\r\n", "x")
    assert pins == {"six-seven": Pin("six-seven", "1.0+cu1", (f"sha256:{A}", f"sha256:{B}"))}


# ---- any text at all: a value or a UsageError -----------------------------------------------------

words = st.sampled_from(
    ["six", "==", "1.0", " ", "\\\n", "\n", "#", ";", "@", "--hash=", f"sha256:{A}", "python_version<'3'", "[", "("]
)
T = TypeVar("T")


def value_or_refusal(read: Callable[[], T]) -> T | None:
    refusal = None
    try:
        return read()
    except UsageError as error:
        refusal = error
    assert len(str(refusal).splitlines()) == 2
    return None


texts = st.text() | st.lists(words).map("".join)


@given(texts)
@example("\\")
@example("six==1 ; " + "(" * 5000)
def test_any_lock(text: str) -> None:
    pins = value_or_refusal(lambda: catalog.parse_lock(text, "the lock"))
    assert all(pin.hashes and pin.version and name == pin.name for name, pin in (pins or {}).items())


@given(st.binary() | texts.map(str.encode))
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
    value_or_refusal(lambda: catalog.requirements(root / "images/a/requirements.in"))


@given(
    st.lists(
        st.tuples(st.sampled_from(["image", "framework", "labels", "limits", "base", "x.y", '"\\u0000`"']), texts)
    )
)
def test_any_table(tmp_path_factory: pytest.TempPathFactory, keys: list[tuple[str, str]]) -> None:
    root = tmp_path_factory.getbasetemp() / "table"
    write(root, "a/Dockerfile", "")
    write(root, "a/image.toml", "\n".join(f"[{table}]\n{key} = 1" for table, key in keys))
    with pytest.raises(UsageError):
        catalog.load(root)


names = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?", fullmatch=True)
versions = st.from_regex(r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}(rc[0-9])?", fullmatch=True)
hashes = st.sets(st.integers(0, 2**256 - 1).map("sha256:{:064x}".format), min_size=1, max_size=4)


@given(st.dictionaries(names, st.tuples(versions, hashes), max_size=8))
def test_a_lock_says_what_was_written(pins: dict[str, tuple[str, set[str]]]) -> None:
    text = "".join(
        " \\\n    ".join([f"{name}=={version}", *(f"--hash={value}" for value in values)]) + "\n    # via x\n"
        for name, (version, values) in pins.items()
    )
    assert catalog.parse_lock(text, "x") == {
        name: Pin(name, version, tuple(sorted(values))) for name, (version, values) in pins.items()
    }


@given(texts)
def test_any_name(name: str) -> None:
    with pytest.raises(UsageError):
        catalog.Catalog(Path(), {}).get(name)


# ---- the real thing -------------------------------------------------------------------------------


def test_the_images_of_this_repository() -> None:
    images = catalog.load(REPOSITORY)
    assert images.frameworks()
    for image in images.images.values():
        assert images.ancestors(image) or image.suite
        assert {"python"} <= set(image.labels)
        assert image.platform
        text = image.lock.read_text() if image.lock else ""
        assert not re.search(r"https?:|file:|/tmp|/home|/root", text)
    for image in images.frameworks():
        assert image.framework
        pins = catalog.packages(image.lock) if image.lock else {}
        distribution = image.framework.distribution or image.framework.module
        assert not pins or distribution in {**pins, **image.built}


def test_twenty_images_load_in_a_tenth_of_a_second(root: Path) -> None:
    lines = "".join(f"p{number}==1.{number} \\\n    --hash=sha256:{A}\n" for number in range(49))
    for number in range(18):
        for name, text in {"image.toml": FRAMEWORK, "requirements.in": "torch", "Dockerfile": ""}.items():
            write(root, f"x{number}/{name}", text)
        write(root, f"x{number}/requirements.lock", STACK_LOCK + lines)

    def seconds() -> float:
        begin = time.process_time()
        assert len(catalog.load(root).images) == 21
        return time.process_time() - begin

    assert min(seconds() for _ in range(5)) < 0.1
