from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from assay import catalog, lock, rootfs
from assay.catalog import Catalog
from assay.engine.process import Completed
from assay.errors import BuildFailed, UsageError

# What the index holds: versions, oldest first, and what each needs.
INDEX: dict[str, list[str]] = {"cuda-lib": ["1.0", "1.1"], "torch": ["2.0", "2.1"], "six": ["1.16", "1.17"]}
NEEDS = {"torch": "cuda-lib>=1.0"}


def digest(name: str, version: str, file: str = "wheel") -> str:
    return "sha256:" + f"{name}{version}{file}".encode().hex().ljust(64, "0")[:64]


class Resolver:
    """Does what uv does, for an index of three packages; remembers how it was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], Mapping[str, str]]] = []
        self.index = {name: list(versions) for name, versions in INDEX.items()}
        self.files = ["wheel"]
        self.answer: Completed | None = None

    def __call__(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout: float) -> Completed:
        self.calls.append((list(argv), env))
        if self.answer is not None:
            return self.answer
        words = list(argv)
        output = cwd / words[words.index("--output-file") + 1]
        stacks = [cwd / word for word in words[4 : words.index("--output-file")]]
        asked = [
            Requirement(line.split("#")[0]) for line in (cwd / words[3]).read_text().splitlines() if line[0] != "#"
        ]
        asked += [Requirement(f"{n}=={p.version}") for path in stacks for n, p in catalog.packages(path).items()]
        asked += [Requirement(NEEDS[item.name]) for item in asked if item.name in NEEDS]
        before = dict(re.findall(r"^(\S+)==(\S+)", output.read_text(), re.MULTILINE))
        hashes = {line.split("==")[0]: re.findall(r"sha256:\w+", line) for line in output.read_text().splitlines()}
        lines = []
        for name in sorted({item.name for item in asked}):
            fits = [
                version
                for version in self.index[name]
                if all(version in item.specifier for item in asked if item.name == name)
            ]
            version = before[name] if before.get(name) in fits else fits[-1]
            known = hashes.get(name) if before.get(name) == version else None
            known = known or [digest(name, version, file) for file in self.files]
            lines += [f"{name}=={version} \\", *(f"    --hash={value} \\" for value in known)]
            lines[-1] = lines[-1].removesuffix(" \\")
            lines.append(f"    # via -r {words[3]}")
        output.write_text("\n".join(lines) + "\n")
        return Completed(0, "", "")


@pytest.fixture
def uv(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    resolver = Resolver()
    monkeypatch.setattr(lock.process, "run", resolver)
    return resolver


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "Dockerfile": "FROM scratch",
        "base/trixie/image.toml": '[image]\nsummary="d"\n[base]\nsuite="trixie"\nplatform="x86_64-manylinux_2_40"\n'
        'include=["python3"]\n[labels]\npython="3.13"\n',
        "base/trixie/packages.lock": f"# rootfs sha256:{'0' * 64}\npython3=3.13.5-1 sha256:{'0' * 64}\n",
        "cuda/1.0/image.toml": '[image]\nparent="base/trixie"\nsummary="c"\n',
        "cuda/1.0/requirements.in": "cuda-lib==1.0\n",
        "torchy/image.toml": '[image]\nparent="cuda/1.0"\nsummary="t"\nworkloads=["digits"]\n'
        '[framework]\nname="torch"\nmodule="torch"\n',
        "torchy/requirements.in": "torch\nsix<1.17\n",
    }
    for name, text in files.items():
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.fixture
def locked(root: Path, uv: Resolver) -> Path:
    write_locks(root)
    uv.calls.clear()
    return root


def read(root: Path) -> Catalog:
    return catalog.load(root, locked=False)


def write_locks(root: Path, *names: str, upgrade: bool = False) -> list[lock.Result]:
    images = read(root)
    return lock.lock(images, lock.choose(images, names), upgrade=upgrade)


def checked(root: Path, *names: str) -> list[lock.Result]:
    images = read(root)
    return lock.check(images, lock.choose(images, names))


def edit(root: Path, name: str, old: str, new: str) -> None:
    path = root / "images" / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


# ---- writing --------------------------------------------------------------------------------------


def test_stacks_come_first_and_are_contained(root: Path, uv: Resolver) -> None:
    results = write_locks(root)
    assert [result.image for result in results] == ["cuda/1.0", "torchy"]
    assert results[1].changes == ("cuda-lib absent -> 1.0", "six absent -> 1.16", "torch absent -> 2.1")
    images = catalog.load(root)  # and this holds every lock against its stack
    assert catalog.packages(images.get("torchy").lock or Path())["cuda-lib"].version == "1.0"
    assert (root / "images/torchy/requirements.lock").stat().st_mode & 0o777 == 0o644


def test_the_second_time_nothing_is_written(locked: Path) -> None:
    before = (locked / "images/torchy/requirements.lock").stat().st_mtime_ns
    assert [result.written for result in write_locks(locked)] == [False, False]
    assert (locked / "images/torchy/requirements.lock").stat().st_mtime_ns == before


def test_pins_stay_unless_an_upgrade_is_asked_for(root: Path, uv: Resolver) -> None:
    uv.index["torch"] = ["2.0"]
    write_locks(root)
    uv.index["torch"] = ["2.0", "2.1"]
    assert [result.changes for result in write_locks(root)] == [(), ()]
    assert write_locks(root, "torchy", upgrade=True)[0].changes == ("torch 2.0 -> 2.1",)


def test_a_stack_that_changes_takes_along_what_is_above(locked: Path) -> None:
    edit(locked, "cuda/1.0/requirements.in", "1.0", "1.1")
    results = write_locks(locked, "cuda/1.0")
    assert {result.image: result.changes for result in results} == {
        "cuda/1.0": ("cuda-lib 1.0 -> 1.1",),
        "torchy": ("cuda-lib 1.0 -> 1.1",),
    }
    catalog.load(locked)


def test_a_stack_without_a_lock_gets_one(root: Path, uv: Resolver) -> None:
    assert [result.image for result in write_locks(root, "torchy")] == ["cuda/1.0", "torchy"]


def test_hashes_of_the_stack_are_taken_over(locked: Path, uv: Resolver) -> None:
    """A wheel for yet another platform, added to the index since, must not set two locks apart."""
    uv.files = ["wheel", "another"]
    edit(locked, "torchy/requirements.in", "six<1.17", "six")
    write_locks(locked, "torchy", upgrade=True)
    images = catalog.load(locked)
    assert len(catalog.packages(images.get("torchy").lock or Path())["six"].hashes) == 2


def test_a_damaged_lock_keeps_its_pins(locked: Path, uv: Resolver) -> None:
    uv.index["torch"].append("2.2")
    path = locked / "images/torchy/requirements.lock"
    path.write_bytes(b"<<<<<<< ours\n\xff" + path.read_bytes() + b">>>>>>> theirs\n")
    result = write_locks(locked)[1]
    assert result.written
    assert not result.changes
    catalog.load(locked)


def test_all_locks_or_none(locked: Path, uv: Resolver) -> None:
    before = {path: path.read_bytes() for path in locked.rglob("*.lock")}
    edit(locked, "cuda/1.0/requirements.in", "1.0", "1.1")
    resolve, uv.answer = uv.__call__, None

    def fails_later(argv: Sequence[str], **options: object) -> Completed:
        if len(uv.calls) == 1:
            uv.calls.clear()
            return Completed(2, "", UNREACHABLE)
        return resolve(argv, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock.process, "run", fails_later)
        with pytest.raises(BuildFailed):
            write_locks(locked)
    assert {path: path.read_bytes() for path in locked.rglob("*.lock*")} == before


def test_a_failure_to_write_leaves_no_trace(root: Path, uv: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(BuildFailed, match=r"requirements\.lock cannot be written: No space left"):
        write_locks(root)
    assert not list(root.rglob("*requirements.lock*"))


def test_a_base_moves_only_when_it_is_named(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = rootfs.Package("python3", "3.13.6-1", "1" * 64)
    monkeypatch.setattr(rootfs, "lock", lambda image, on_step: rootfs.PackagesLock((package,), "1" * 64))
    assert "base/trixie" not in {result.image for result in write_locks(locked, upgrade=True)}
    results = write_locks(locked, "base/trixie")
    assert results[0].changes == ("python3 3.13.5-1 -> 3.13.6-1",)
    (locked / "images/base/trixie/packages.lock").unlink()
    assert "base/trixie" in {result.image for result in write_locks(locked)}


@pytest.fixture
def with_tools(locked: Path) -> Path:
    """A locked repository with build tools, which the first framework asks for."""
    folder = locked / "images/tools/torchy"
    folder.mkdir(parents=True)
    (folder / "image.toml").write_text(
        '[image]\nsummary = "Compilers"\n[tools]\nsuite = "trixie"\n'
        'include = ["g++"]\nunpack = ["headers"]\nsources = ["hello"]\n'
    )
    names = ("g++", "headers", "src:hello")
    made = rootfs.PackagesLock(tuple(rootfs.Package(name, "1", "1" * 64) for name in names), "1" * 64)
    (folder / "packages.lock").write_text(made.text("tools/torchy"))
    toml = locked / "images/torchy/image.toml"
    toml.write_text(toml.read_text().replace("[framework]", 'build_tools = "tools/torchy"\n[framework]', 1))
    return locked


def test_build_tools_are_locked_where_they_are_named(with_tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = rootfs.Package("g++", "2", "1" * 64)
    monkeypatch.setattr(rootfs, "lock", lambda image, on_step: rootfs.PackagesLock((package,), "1" * 64))
    assert "tools/torchy" not in {result.image for result in write_locks(with_tools, upgrade=True)}
    assert "g++ 1 -> 2" in write_locks(with_tools, "tools/torchy")[0].changes
    (with_tools / "images/tools/torchy/packages.lock").unlink()
    assert "tools/torchy" in {result.image for result in write_locks(with_tools)}


@pytest.mark.parametrize("name", ["g++", "headers", "src:hello"])
def test_build_tools_are_checked_with_their_image(with_tools: Path, name: str) -> None:
    assert "tools/torchy" in {result.image for result in checked(with_tools, "torchy")}
    edit(with_tools, "tools/torchy/packages.lock", f"{name}=1", f"{name}x=1")
    with pytest.raises(UsageError, match=f"{re.escape(name)} is to be included, and the lock lacks it"):
        checked(with_tools, "torchy")


def test_a_lock_says_nothing_about_this_machine(locked: Path) -> None:
    text = (locked / "images/torchy/requirements.lock").read_text()
    assert text.startswith("# Written by `assay lock torchy` from requirements.in; do not edit.\n")
    assert "# via -r images/torchy/requirements.in" in text
    assert not re.search(r"https?:|file:|/tmp|/home|/root", text)


# ---- checking -------------------------------------------------------------------------------------


def test_locks_that_agree(locked: Path, uv: Resolver) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in locked.rglob("*.lock")}
    uv.index["torch"].append("2.2")  # newer versions do not matter,
    uv.files.append("another")  # nor do files that came since
    assert [result.image for result in checked(locked)] == ["base/trixie", "cuda/1.0", "torchy"]
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in locked.rglob("*.lock")} == before


@pytest.mark.parametrize(
    ("name", "old", "new", "fragment"),
    [
        (
            "torchy/requirements.in",
            "torch\n",
            "torch\ncuda-lib\nzlib==3\n",
            "zlib==3 is asked for, and the lock lacks it",
        ),
        ("torchy/requirements.in", "torch\n", "torch==2.0\n", "torch==2.0 is asked for, and the lock has 2.1"),
        ("torchy/requirements.in", "six<1.17\n", "", "its inputs give six 1.16 -> absent"),
        ("torchy/requirements.lock", "via -r", "via", "was edited"),
        ("torchy/requirements.lock", f"    --hash={digest('six', '1.16')}", "", "six has no hash"),
        ("torchy/requirements.lock", "six==1.16", "six==1.15", "was edited"),
        ("cuda/1.0/requirements.in", "1.0", "1.1", "images/cuda/1.0/requirements.lock: cuda-lib==1.1 is asked for"),
        ("base/trixie/image.toml", '"3.13"', '"3.14"', "written for another Python than 3.14"),
        ("base/trixie/image.toml", "2_40", "2_39", "on x86_64-manylinux_2_39"),
        ("base/trixie/image.toml", '"python3"', '"python3", "g++"', "images/base/trixie/packages.lock: g++ is to be"),
        ("base/trixie/packages.lock", "python3=", "python3 ", "packages.lock:2"),
    ],
)
def test_what_does_not_agree(locked: Path, name: str, old: str, new: str, fragment: str) -> None:
    edit(locked, name, old, new)
    before = {path: path.read_bytes() for path in locked.rglob("*.lock")}
    with pytest.raises(UsageError) as caught:
        checked(locked, "cuda/1.0", "torchy")
    assert fragment in caught.value.what
    assert "Run `assay lock " in caught.value.todo
    assert {path: path.read_bytes() for path in locked.rglob("*.lock")} == before


def test_a_line_removed(locked: Path) -> None:
    path = locked / "images/torchy/requirements.lock"
    path.write_text(re.sub(r"six==.*\n.*\n.*\n", "", path.read_text()))
    with pytest.raises(UsageError, match=r"six<1\.17 is asked for, and the lock lacks it"):
        checked(locked)


def test_one_hash_of_two_removed(root: Path, uv: Resolver) -> None:
    uv.files = ["wheel", "another"]
    write_locks(root)
    edit(root, "torchy/requirements.lock", f"    --hash={digest('six', '1.16')} \\\n", "")
    catalog.load(root)  # a lock in itself
    with pytest.raises(UsageError, match=r"images/torchy/requirements\.lock was edited"):
        checked(root)


def test_a_forged_hash_with_a_forged_seal(locked: Path) -> None:
    edit(locked, "torchy/requirements.lock", digest("six", "1.16"), digest("evil", "1.16"))
    path = locked / "images/torchy/requirements.lock"
    body = "".join(path.read_text().splitlines(keepends=True)[2:])
    path.write_text(lock._header(read(locked).get("torchy"), body) + body)
    with pytest.raises(UsageError, match=r"six 1\.16 has a hash that the index does not know"):
        checked(locked)


def test_a_version_that_vanished(locked: Path, uv: Resolver) -> None:
    uv.index["torch"].remove("2.1")
    with pytest.raises(UsageError, match=r"its inputs give torch 2\.1 -> 2\.0"):
        checked(locked)


def test_a_lock_that_is_missing(locked: Path) -> None:
    (locked / "images/torchy/requirements.lock").unlink()
    with pytest.raises(UsageError, match=r"images/torchy/requirements\.lock is missing"):
        checked(locked)


def test_every_image_that_disagrees_is_named(locked: Path) -> None:
    edit(locked, "torchy/requirements.lock", "via -r", "via")
    edit(locked, "cuda/1.0/requirements.lock", "via -r", "via")
    with pytest.raises(UsageError) as caught:
        checked(locked)
    assert caught.value.todo == "Run `assay lock cuda/1.0 torchy`."


# ---- the words of uv, as it said them ---------------------------------------------------------------

UNREACHABLE = """\
error: Failed to fetch: http://127.0.0.1:9/simple/six/
  cause: error sending request for url (http://127.0.0.1:9/simple/six/)
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)
"""
CERTIFICATE = """\
warning: No valid certificates found in `SSL_CERT_FILE`: a.in. No default certificates will be trusted.
error: Failed to fetch: http://index.example/simple/six/
  cause: error sending request for url (http://index.example/simple/six/)
  cause: client error (Connect)
  cause: invalid peer certificate: UnknownIssuer
"""
SERVER_ERROR = """\
error: Failed to fetch: http://127.0.0.1:18205/simple/six/
  cause: HTTP status server error (500 Internal Server Error) for url (http://127.0.0.1:18205/simple/six/)
"""
UNAUTHORIZED = """\
error: No solution found when resolving dependencies
  cause: Because six was not found in the package registry and you require six, we can conclude that your \
requirements are unsatisfiable.

hint: An index URL (http://127.0.0.1:18202/simple) could not be queried due to a lack of valid authentication \
credentials (401 Unauthorized)
"""
FORBIDDEN = """\
error: No solution found when resolving dependencies
  cause: Because six was not found in the package registry and you require six, we can conclude that your \
requirements are unsatisfiable.

hint: An index (http://127.0.0.1:18203/simple) returned a 403 Forbidden error. Check that the index URL is correct \
and the credentials are valid.
"""
OFFLINE = """\
error: No solution found when resolving dependencies
  cause: Because six was not found in the cache and you require six, we can conclude that your requirements are \
unsatisfiable.

hint: Packages were unavailable because the network was disabled. When the network is disabled, registry packages \
may only be read from the cache.
"""
NO_PACKAGE = """\
error: No solution found when resolving dependencies
  cause: Because nosuchpkg-zzz-1 was not found in the package registry and you require nosuchpkg-zzz-1==3, we can \
conclude that your requirements are unsatisfiable.
"""
NO_VERSION = """\
error: No solution found when resolving dependencies
  cause: Because there is no version of six==99 and you require six==99, we can conclude that your requirements \
are unsatisfiable.
"""
NO_WHEEL = """\
error: No solution found when resolving dependencies
  cause: Because theano==1.0.5 has no usable wheels and you require theano==1.0.5, we can conclude that your \
requirements are unsatisfiable.

hint: Wheels are required for `theano` because building from source is disabled for all packages (i.e., with \
`--no-build`)
"""


@pytest.mark.parametrize(
    ("said", "status", "kind", "what", "todo"),
    [
        (UNREACHABLE, 2, BuildFailed, "Connection refused", "See to the network"),
        (CERTIFICATE, 2, BuildFailed, "UnknownIssuer", "no lock was changed"),
        (SERVER_ERROR, 2, BuildFailed, "500 Internal Server Error", "See to the network"),
        (UNAUTHORIZED, 1, BuildFailed, "401 Unauthorized", "See to the network"),
        (FORBIDDEN, 1, BuildFailed, "403 Forbidden", "See to the network"),
        (OFFLINE, 1, BuildFailed, "the network was disabled", "See to the network"),
        (NO_PACKAGE, 1, UsageError, "nosuchpkg-zzz-1 was not found", "Correct images/torchy/requirements.in."),
        (NO_VERSION, 1, UsageError, "there is no version of six==99", "Correct images/torchy/requirements.in."),
        (NO_WHEEL, 1, UsageError, "no usable wheels", "Wheels are required for `theano`"),
        ("uv: not found", 127, BuildFailed, "uv: not found", "See to"),
        ("uv: no end after 600 seconds", 124, BuildFailed, "no end after 600 seconds", "See to"),
        ("", -9, BuildFailed, "exit status -9", "See to"),
    ],
)
def test_why_uv_failed(
    root: Path, uv: Resolver, said: str, status: int, kind: type[Exception], what: str, todo: str
) -> None:
    uv.answer = Completed(status, "", said)
    (root / "images/cuda/1.0/requirements.in").rename(root / "aside")
    with pytest.raises(kind) as caught:
        write_locks(root)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("torchy: ")
    assert what in lines[0]
    assert todo in lines[1]
    assert not list(root.rglob("requirements.lock*"))


@given(st.text(), st.integers(-15, 255))
def test_whatever_uv_says_is_two_lines(said: str, status: int) -> None:
    assert len(str(lock.failure("x", Completed(status, "", said))).splitlines()) == 2


# ---- what uv may see ------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without any configuration."""
    for name in list(os.environ):
        if name.startswith(("UV_", "PIP_", "XDG_")) or name in lock._CA_BUNDLES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(lock, "SYSTEM", tmp_path / "etc")
    return tmp_path


def configure(home: Path, name: str, text: str) -> None:
    path = home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_default_index_where_nothing_is_configured(home: Path) -> None:
    assert lock.index() is None
    assert not [name for name in lock.environment() if name.startswith(("UV_", "PIP_", "SSL_CERT_FILE"))]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("etc/pip.conf", "[global]\nindex-url = https://index.example/simple\n"),
        (".pip/pip.conf", "[global]\nindex_url = https://index.example/simple\n"),
        (
            ".config/pip/pip.conf",
            "[install]\nindex-url=https://index.example/simple\n[global]\nindex-url=http://x.example\n",
        ),
        (
            ".config/uv/uv.toml",
            '[[index]]\nurl="https://x.example"\n[[index]]\nurl="https://index.example/simple"\ndefault=true\n',
        ),
        (".config/uv/uv.toml", 'index-url = "https://index.example/simple"\n'),
        (".config/uv/uv.toml", '[pip]\nindex-url = "https://index.example/simple"\n'),
        ("etc/uv/uv.toml", 'index-url = "https://index.example/simple"\n'),
    ],
)
def test_the_index_of_the_users_own_files(home: Path, name: str, text: str) -> None:
    configure(home, name, text)
    assert lock.index() == "https://index.example/simple"
    assert lock.environment()["UV_DEFAULT_INDEX"] == "https://index.example/simple"


def test_which_index_wins(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(home, ".config/pip/pip.conf", "[global]\nindex-url = https://pip-file.example\n")
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.example")
    assert lock.index() == "https://pip.example"
    configure(home, ".config/uv/uv.toml", 'index-url = "https://uv-file.example"')
    assert lock.index() == "https://uv-file.example"
    monkeypatch.setenv("UV_INDEX_URL", "https://uv-old.example")
    assert lock.index() == "https://uv-old.example"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "corporate=https://user:word@uv.example/simple?a=b")
    assert lock.index() == "https://user:word@uv.example/simple?a=b"


@pytest.mark.parametrize("value", ["file:///wheels", "/wheels", "./wheels", ""])
def test_a_folder_is_no_index(home: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", value)
    monkeypatch.setenv("PIP_INDEX_URL", value)
    assert lock.index() is None


@pytest.mark.parametrize(
    "text", ["[global", "index-url = ", "[[index]]\nurl = 3\ndefault = true", 'index = "a"\npip = 3']
)
def test_damaged_files_of_the_user(home: Path, text: str) -> None:
    for name in (".config/uv/uv.toml", ".config/pip/pip.conf", "etc/pip.conf"):
        configure(home, name, text)
    assert lock.index() is None


def test_nothing_else_reaches_uv(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        "PIP_FIND_LINKS": "/wheels",
        "PIP_EXTRA_INDEX_URL": "file:///simple",
        "UV_FIND_LINKS": "/wheels",
        "UV_INDEX": "https://extra.example",
        "UV_EXTRA_INDEX_URL": "https://extra.example",
        "UV_EXCLUDE_NEWER": "2020-01-01",
        "UV_PRERELEASE": "allow",
        "UV_RESOLUTION": "lowest",
        "UV_CONSTRAINT": "c.txt",
        "UV_TORCH_BACKEND": "cpu",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "300")
    environment = lock.environment()
    assert not told.keys() & environment.keys()
    assert environment["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert environment["UV_HTTP_TIMEOUT"] == "300"


def test_the_ca_bundle(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("conf.pem", "pip.pem", "ssl.pem"):
        configure(home, name, "")
    configure(home, ".config/pip/pip.conf", f"[global]\ncert = {home / 'conf.pem'}\n")
    assert lock.environment()["SSL_CERT_FILE"] == str(home / "conf.pem")
    monkeypatch.setenv("PIP_CERT", str(home / "pip.pem"))
    assert lock.environment()["SSL_CERT_FILE"] == str(home / "pip.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(home / "ssl.pem"))
    assert lock.environment()["SSL_CERT_FILE"] == str(home / "ssl.pem")


def test_a_lock_holds_what_only_the_stack_asks_for(locked: Path, uv: Resolver) -> None:
    (locked / "images/torchy/requirements.in").write_text("six\n")
    write_locks(locked, "torchy")
    assert set(catalog.packages(locked / "images/torchy/requirements.lock")) == {"cuda-lib", "six"}


def test_the_command_line(locked: Path, uv: Resolver) -> None:
    write_locks(locked, "torchy")
    argv, _ = uv.calls[0]
    assert argv[1:9] == [
        *("pip", "compile", "images/torchy/requirements.in", "images/cuda/1.0/requirements.lock"),
        *("--output-file", "images/torchy/requirements.lock"),
        *("--python", lock.sys.executable),
    ]
    assert {"--generate-hashes", "--no-config", "--no-python-downloads"} <= set(argv)
    assert argv[argv.index("--only-binary") + 1] == ":all:"
    assert "--no-binary" not in argv
    assert argv[argv.index("--python-version") + 1] == "3.13"
    assert argv[argv.index("--python-platform") + 1] == "x86_64-manylinux_2_40"


def test_only_what_is_said_to_come_as_source_may(root: Path, uv: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "images/torchy/image.toml").write_text(
        (root / "images/torchy/image.toml").read_text() + '[sources]\nSix = ["cuda-lib>=1.0", "torch"]\n'
    )
    settings = {}
    answer = uv.__call__

    def run(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout: float) -> Completed:
        settings[argv[3]] = (cwd / "uv.toml").read_text()
        return answer(argv, env=env, cwd=cwd, timeout=timeout)

    monkeypatch.setattr(lock.process, "run", run)
    write_locks(root)
    stack, torchy = (argv for argv, _ in uv.calls)
    assert "--no-binary" not in stack
    assert "--no-config" in stack
    assert torchy[torchy.index("--only-binary") : torchy.index("--only-binary") + 4] == [
        *("--only-binary", ":all:", "--no-binary", "six"),
    ]
    assert torchy[torchy.index("--config-file") + 1] == "uv.toml"
    assert "--no-config" not in torchy
    told = tomllib.loads(settings["images/torchy/requirements.in"])
    # What it needs is told, so that uv builds nothing to find it out.
    assert told == {"dependency-metadata": [{"name": "six", "requires-dist": ["cuda-lib>=1.0", "torch"]}]}


@pytest.mark.parametrize("value", ["", 'python = "3"', 'python = "newest"'])
def test_a_python_that_is_not_said(root: Path, uv: Resolver, value: str) -> None:
    edit(root, "base/trixie/image.toml", 'python="3.13"', value)
    with pytest.raises(UsageError, match=r"cuda/1\.0: labels\.python is not set"):
        write_locks(root)


def test_options_in_the_requirements_are_refused(root: Path, uv: Resolver) -> None:
    edit(root, "cuda/1.0/requirements.in", "cuda-lib", "--pre\ncuda-lib")
    with pytest.raises(UsageError, match=r"images/cuda/1\.0/requirements\.in:1: '--pre' is no requirement"):
        write_locks(root)
    assert not uv.calls
