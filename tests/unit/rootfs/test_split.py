"""A root file system in two tars: together they hold the same files, each once."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from assay import rootfs
from assay.errors import BuildFailed

FOLDERS = ("usr", "usr/lib", "usr/lib/x86", "usr/lib/x86/perl", "usr/lib/gcc", "usr/bin")
FILES = ("usr/lib/x86/perl/core.pm", "usr/lib/x86/libc.so", "usr/lib/gcc/cc1", "usr/bin/sh", "usr/lib/gcc2")


def made(tmp_path: Path, *hard_links: tuple[str, str]) -> Path:
    """A tar as mmdebstrap writes one, with a file's name, content, capability, and the links that are given."""
    path = tmp_path / "whole.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in FOLDERS:
            member = tarfile.TarInfo(f"./{name}/")
            member.type, member.mode, member.mtime = tarfile.DIRTYPE, 0o755, 1
            tar.addfile(member)
        for name in FILES:
            member = tarfile.TarInfo(f"./{name}")
            member.size, member.mode, member.mtime = len(name), 0o644, 2
            member.pax_headers = {"SCHILY.xattr.security.capability": name}
            tar.addfile(member, io.BytesIO(name.encode()))
        for name, target in hard_links:
            member = tarfile.TarInfo(f"./{name}")
            member.type, member.linkname = tarfile.LNKTYPE, f"./{target}"
            tar.addfile(member)
    return path


def split(tar: Path, *folders: str) -> tuple[dict[str, object], dict[str, object]]:
    """What is in each of the two tars: by path all that a header says, and the content."""
    first, rest = tar.with_name("first.tar"), tar.with_name("rest.tar")
    rootfs.split(tar, folders, first, rest)
    return contents(first), contents(rest)


def contents(path: Path) -> dict[str, object]:
    with tarfile.open(path) as tar:
        return {
            member.name: (
                member.type,
                member.mode,
                member.mtime,
                member.pax_headers,
                member.linkname,
                data(tar, member),
            )
            for member in tar
        }


def data(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    file = tar.extractfile(member) if member.isreg() else None
    return file.read() if file else None


def test_the_folders_are_in_the_first_and_all_else_in_the_rest(tmp_path: Path) -> None:
    tar = made(tmp_path, ("usr/lib/gcc/cc2", "usr/lib/gcc/cc1"))
    whole = contents(tar)
    first, rest = split(tar, "/usr/lib/gcc", "/usr/lib/*/perl")
    of_gcc = {"./usr/lib/gcc", "./usr/lib/gcc/cc1", "./usr/lib/gcc/cc2"}
    of_perl = {"./usr/lib/x86/perl", "./usr/lib/x86/perl/core.pm"}
    above = {"./usr", "./usr/lib", "./usr/lib/x86"}
    assert set(first) == of_gcc | of_perl | above
    assert set(rest) == set(whole) - of_gcc - of_perl
    assert {**first, **rest} == whole
    assert all(first[name] == rest[name] for name in above)


def test_nothing_named_leaves_the_whole_in_the_rest(tmp_path: Path) -> None:
    tar = made(tmp_path)
    assert split(tar) == ({}, contents(tar))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="the root file system has no /usr/lib/clang, /usr/bin/sh"):
        split(made(tmp_path), "/usr/lib/gcc", "/usr/lib/clang", "/usr/bin/sh")


@pytest.mark.parametrize("link", [("usr/bin/gcc", "usr/lib/gcc/cc1"), ("usr/lib/gcc/sh", "usr/bin/sh")])
def test_one_file_in_two_layers_is_refused(tmp_path: Path, link: tuple[str, str]) -> None:
    with pytest.raises(BuildFailed, match=r"are one file, and layers\.first puts them into two layers"):
        split(made(tmp_path, link), "/usr/lib/gcc")
