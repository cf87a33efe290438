from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assay.engine import apt
from assay.engine.apt import Wanted
from assay.errors import EngineMissing, UsageError
from assay.host import process
from assay.host.process import Completed

ARCHIVE = "http://archive.example/debian"


@pytest.fixture
def bookworm(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """A Debian 12 host with these sources."""
    sources = [
        (ARCHIVE, "bookworm", "main"),
        (ARCHIVE, "bookworm-updates", "main"),
        ("http://other.example/apt", "stable", "main"),
        ("http://backports.example", "bookworm-backports", "contrib"),
        (ARCHIVE, "bookworm2", "main"),
    ]
    monkeypatch.setattr(apt, "host_codename", lambda: "bookworm")
    monkeypatch.setattr(apt, "host_sources", lambda: sources)
    monkeypatch.setattr(apt.Path, "is_file", lambda self: False)
    return sources


def test_sources_that_were_never_fetched_are_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a real apt on a machine that has fetched nothing."""
    if not apt.available():
        pytest.skip("there is no apt here")
    (tmp_path / "lists/partial").mkdir(parents=True)
    (tmp_path / "sources.list").write_text(
        f"deb {ARCHIVE} one main\ndeb {ARCHIVE}-security one-security main contrib\n"
    )
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{tmp_path}/sources.list";\nDir::Etc::sourceparts "-";\n'
        f'Dir::State::lists "{tmp_path}/lists";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    assert apt.host_sources() == [
        (f"{ARCHIVE}-security/", "one-security", "contrib"),
        (f"{ARCHIVE}-security/", "one-security", "main"),
        (f"{ARCHIVE}/", "one", "main"),
    ]


def test_sources_as_apt_tells_them(monkeypatch: pytest.MonkeyPatch) -> None:
    said = f"{ARCHIVE}|bookworm|main\n{ARCHIVE}|bookworm|main\nW: odd line\n{ARCHIVE}|bookworm|contrib\n"
    monkeypatch.setattr(process, "run", lambda *a, **k: Completed(0, said, ""))
    assert apt.host_sources() == [(ARCHIVE, "bookworm", "contrib"), (ARCHIVE, "bookworm", "main")]
    monkeypatch.setattr(process, "run", lambda *a, **k: Completed(127, "", "apt-get: not found"))
    assert apt.host_sources() == []


@pytest.mark.parametrize(
    ("text", "codename"),
    [
        ('NAME="Debian"\nVERSION_CODENAME=bookworm\n', "bookworm"),
        ('VERSION_CODENAME="noble"\n', "noble"),
        ("NAME=Arch\n", "stable"),
    ],
)
def test_the_codename(monkeypatch: pytest.MonkeyPatch, text: str, codename: str) -> None:
    monkeypatch.setattr(apt.Path, "read_text", lambda self: text)
    assert apt.host_codename() == codename


def test_where_it_can_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(apt.os, "geteuid", lambda: 0)
    assert apt.available()
    monkeypatch.setattr(apt.os, "geteuid", lambda: 1000)
    assert not apt.available()
    monkeypatch.setattr(apt.os, "geteuid", lambda: 0)
    monkeypatch.setattr(apt.shutil, "which", lambda name: None if name == "dpkg-deb" else name)
    assert not apt.available()


def test_another_set_of_packages_has_another_key(bookworm: object, monkeypatch: pytest.MonkeyPatch) -> None:
    key = apt.key_of((Wanted("a"),))
    others = [apt.key_of((Wanted("b"),)), apt.key_of((Wanted("a", host_suite=True),)), apt.key_of(())]
    monkeypatch.setattr(apt, "host_codename", lambda: "trixie")
    others.append(apt.key_of((Wanted("a"),)))
    assert len({key, *others}) == 5


# ---- unpacking -------------------------------------------------------------------------------------


class Programs:
    """Stands for apt-get and dpkg-deb."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.fails: dict[str, Completed] = {}
        self.sources: list[str] = []

    def __call__(
        self, argv: list[str], *, env: Any = None, cwd: Path | None = None, timeout: Any = None
    ) -> Completed:
        self.calls.append(argv)
        for word, completed in self.fails.items():
            if word in argv:
                return completed
        if "download" in argv:
            assert cwd is not None
            self.sources = Path(env["APT_CONFIG"]).with_name("sources.list").read_text().splitlines()
            for name in argv[argv.index("download") + 1 :]:
                (cwd / f"{name.split('/')[0]}.deb").touch()
        if argv[0] == "dpkg-deb":
            (Path(argv[3]) / Path(argv[2]).stem).touch()
        return Completed(0, "", "")

    def sources_of(self, folder: Path) -> list[str]:
        """The sources that an unpacking asks."""
        apt.unpack(WANTED, folder / "programs")
        return self.sources


WANTED = (Wanted("docker.io"), Wanted("runc", host_suite=True))


@pytest.fixture
def programs(bookworm: object, monkeypatch: pytest.MonkeyPatch) -> Programs:
    made = Programs()
    monkeypatch.setattr(process, "run", made)
    monkeypatch.setattr(apt.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(apt.Path, "is_file", lambda self: self.exists() and self.name != "debian-archive-keyring.gpg")
    return made


def test_the_hosts_sources_once_for_its_suite_and_once_for_the_newer(programs: Programs, tmp_path: Path) -> None:
    assert programs.sources_of(tmp_path) == [
        f"deb {ARCHIVE} bookworm main",
        f"deb {ARCHIVE} trixie main",
        f"deb {ARCHIVE} bookworm-updates main",
        f"deb {ARCHIVE} trixie-updates main",
        "deb http://backports.example bookworm-backports contrib",
        "deb http://backports.example trixie-backports contrib",
    ]


def test_one_suite_is_named_once(
    bookworm: list[Any], programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bookworm[:] = [(ARCHIVE, "trixie", "main")]
    monkeypatch.setattr(apt, "host_codename", lambda: "trixie")
    assert programs.sources_of(tmp_path) == [f"deb {ARCHIVE} trixie main"]


def test_signatures_are_checked_with_debians_own_keys(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apt.Path, "is_file", lambda self: True)
    lines = programs.sources_of(tmp_path)
    assert all(line.startswith("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ") for line in lines)


def test_a_host_without_sources(bookworm: list[Any], programs: Programs, tmp_path: Path) -> None:
    bookworm[:] = [("http://other.example/apt", "stable", "main")]
    with pytest.raises(EngineMissing, match="lists no source for its own suite, bookworm") as caught:
        apt.unpack(WANTED, tmp_path / "programs")
    assert len(str(caught.value).splitlines()) == 2
    assert programs.calls == []


def test_packages_are_unpacked_and_nothing_else_is_left(programs: Programs, tmp_path: Path) -> None:
    apt.unpack(WANTED, tmp_path / "programs")
    assert sorted(path.name for path in (tmp_path / "programs").iterdir()) == ["docker.io", "runc"]
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["programs"]
    assert ["download", "docker.io/trixie", "runc/bookworm"] in [call[-3:] for call in programs.calls]
    apt.unpack(WANTED, tmp_path / "programs")
    assert len(programs.calls) == 4  # once is enough


def test_what_an_interrupted_run_left_is_made_anew(programs: Programs, tmp_path: Path) -> None:
    for name in ("programs.apt", "programs.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rest").touch()
    apt.unpack(WANTED, tmp_path / "programs")
    assert not list(tmp_path.rglob("rest"))


@pytest.mark.parametrize(
    ("word", "said", "reason"),
    [
        ("update", "E: Failed to fetch http://x\nE: Some index files failed", "be fetched: Failed to fetch http://x"),
        ("download", "no luck", "apt-get download failed: no luck"),
        (
            "-x",
            "dpkg-deb: error: No space left on device",
            "docker.io.deb cannot be unpacked: dpkg-deb: error: No sp",
        ),
    ],
)
def test_a_failure_leaves_no_folder_behind_that_looks_whole(
    programs: Programs, tmp_path: Path, word: str, said: str, reason: str
) -> None:
    programs.fails = {word: Completed(100, "", said)}
    with pytest.raises(EngineMissing) as caught:
        apt.unpack(WANTED, tmp_path / "programs")
    assert reason in caught.value.what
    assert len(str(caught.value).splitlines()) == 2
    assert not (tmp_path / "programs").exists()


def test_the_hosts_own_apt_is_left_alone(tmp_path: Path) -> None:
    private = tmp_path / "private"
    apt.PrivateApt.make(private, ["deb http://archive.example one main"], keys=tmp_path / "keys")
    text = (private / "apt.conf").read_text()
    for setting in ("Dir::Etc::sourcelist", "Dir::State::lists", "Dir::State::status", "Dir::Cache::archives"):
        assert f'{setting} "{private}/' in text
    assert 'Dir::Etc::sourceparts "-";' in text
    assert f'Dir::Etc::trustedparts "{tmp_path}/keys";' in text


# ---- indices ---------------------------------------------------------------------------------------

MAIN = "deb [check-valid-until=no] http://archive.example/debian one main"
NO_RELEASE = "E: The repository '{} Release' does not have a Release file.\n"


def updating(monkeypatch: pytest.MonkeyPatch, *answers: Completed) -> list[list[str]]:
    """Give these answers to `apt-get update`, the last one for ever; returns what was asked."""
    asked: list[list[str]] = []

    def run(argv: list[str], **_: Any) -> Completed:
        asked.append(argv)
        return answers[min(len(asked), len(answers)) - 1]

    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(apt.time, "sleep", lambda seconds: None)
    return asked


def test_a_missing_index_is_asked_for_again_and_then_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "E: Failed to fetch http://archive.example/x/Packages.xz  404  Not Found\nE: Some index files failed\n"
    asked = updating(monkeypatch, Completed(100, "", said))
    told: list[str] = []
    with pytest.raises(
        apt.IndexFailed, match=r"an index cannot be fetched: Failed to fetch http://archive\.example/x"
    ) as caught:
        apt.PrivateApt.make(tmp_path / "apt", [MAIN]).update(told.append)
    assert not caught.value.absent
    assert len(str(caught.value).splitlines()) == 2
    assert len(asked) == 1 + len(apt.PAUSES)
    assert [line.rpartition("; ")[2] for line in told] == [
        "asking again in 2 s", "asking again", "asking again in 8 s", "asking again",
    ]  # fmt: skip
    assert all("APT::Update::Error-Mode=any" in argv for argv in asked)


def test_an_index_that_comes_the_second_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = updating(monkeypatch, Completed(100, "", "E: x"), Completed(0, "", ""))
    apt.PrivateApt.make(tmp_path / "apt", [MAIN]).update(print)
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("first", "said", "absent"),
    [
        ("http://archive.example/debian one", "  404  Not Found [IP: ::1 80]\n", True),
        ("http://archive.example/debian one-security", "  404  Not Found [IP: ::1 80]\n", False),  # half an answer
        ("http://archive.example/debian one", "  Connection failed\n", False),
    ],
)
def test_a_suite_that_left_is_told_from_half_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, said: str, absent: bool
) -> None:
    asked = updating(monkeypatch, Completed(100, f"Err:1 x\n{said}", NO_RELEASE.format(first)))
    with pytest.raises(apt.IndexFailed, match=first) as caught:
        apt.PrivateApt.make(tmp_path / "apt", [MAIN, MAIN.replace(" one", " one-security")]).update(print)
    assert caught.value.absent == absent
    assert len(asked) == (1 if absent else 1 + len(apt.PAUSES))


def test_a_component_that_is_not_there_is_half_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "W: Skipping acquire of configured file 'x' as repository 'y' doesn't have the component 'contrib'\n"
    updating(monkeypatch, Completed(0, "", said))
    with pytest.raises(apt.IndexFailed, match="doesn't have the component 'contrib'"):
        apt.PrivateApt.make(tmp_path / "apt", [MAIN]).update(print)


def test_nothing_is_unpacked_where_others_write(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(UsageError, match="can be written by others"):
        apt.unpack(WANTED, tmp_path / "open/programs")
    assert programs.calls == []


def test_what_nobody_has_signed_is_refused_whatever_the_host_says(programs: Programs, tmp_path: Path) -> None:
    apt.unpack(WANTED, tmp_path / "programs")
    asked = [argv for argv in programs.calls if argv[0] == "apt-get" and "-o" in argv]
    assert len(asked) == 2
    for argv in asked:
        for name in ("Insecure", "Weak", "DowngradeToInsecure"):
            assert f"Acquire::Allow{name}Repositories=false" in argv
        assert "APT::Get::AllowUnauthenticated=false" in argv
