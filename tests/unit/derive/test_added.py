"""What lies above a base: packages, and what may not be there."""

from __future__ import annotations

import pytest

from assay.derive.added import packages
from assay.errors import CertificateFailed
from tests.unit.derive.made import EINOPS, SITE, Files, package
from tests.unit.derive.test_layers import tree

BASE: Files = {
    "bin": "-> usr/bin",
    "usr/bin": None,
    "usr/bin/python3": "python",
    "usr/bin/gcc": "gcc",
    "usr/lib/python3.13/os.py": "os",
    "etc/passwd": "root",
    "etc/ld.so.cache": "cache",
    "var/lib/dpkg/status": "all is well",
    SITE: None,
    f"{SITE}/six.py": "six",
    f"{SITE}/deep": None,
    f"{SITE}/deep/__init__.py": "",
    f"{SITE}/deep/er.py": "er",
    f"{SITE}/deep/__pycache__/er.cpython-313.pyc": "code",
    f"{SITE}/nvidia": None,
    f"{SITE}/nvidia/cu13/lib/libcudart.so.13": "cudart",
    **package("six", "1.17", {}),
}


def added(*above: Files) -> dict[str, str]:
    return packages(tree(BASE), tree(BASE, *above), ["six"])


@pytest.mark.parametrize(
    "more",
    [
        {},
        {f"{SITE}/einops/__pycache__/__init__.cpython-313.pyc": "made by a run"},
        {f"{SITE}/six.py": "six", "usr/bin/python3": "python"},  # copied up, and the same: RUN chown makes that
        {"home/assay/train.py": "", "opt/mine/bin/x": "", "etc/mine.conf": "", "usr/share/x": "", "usr/bin/git": ""},
        {
            "etc/passwd": "root and me",
            "etc/group-": "",
            "var/lib/dpkg/status": "more",
            "tmp/x": "",
            "root/.cache": "",
        },
        {"usr/lib/git-core/git": "", "usr/lib/python3/dist-packages/apt.py": ""},
    ],
)
def test_what_may_be_added(more: Files) -> None:
    assert added(EINOPS, more) == {"ein-ops": "0.8.1"}


def test_several_packages_with_scripts_and_shared_folders() -> None:
    cudnn = package("nvidia-x", "2", {f"{SITE}/nvidia/x/lib/libx.so": "", "opt/env/bin/x": ""})
    about = f"{SITE}/nvidia-x-2.dist-info/RECORD"
    record = f"../../../bin/x,,\nnvidia/x/lib/libx.so,,\n\n{SITE},,\n/etc/x,,\n"
    assert added(EINOPS, {**cudnn, about: record}) == {"ein-ops": "0.8.1", "nvidia-x": "2"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"usr/bin/.wh.python3": ""}, "/usr/bin/python3 of the base is gone"),
        ({"bin/.wh.python3": ""}, "/usr/bin/python3 of the base is gone"),
        ({f"{SITE}/.wh..wh..opq": ""}, "of the base is gone"),
        ({"usr/bin/python3": "another"}, "/usr/bin/python3 of the base was changed"),
        ({f"{SITE}/deep/er.py": "else"}, "/deep/er.py of the base was changed"),
        ({f"{SITE}/deep/__pycache__/er.cpython-313.pyc": "evil"}, "er.cpython-313.pyc of the base was changed"),
        ({f"{SITE}/deep": "-> /elsewhere"}, "/deep of the base was changed"),
        ({"etc/ld.so.cache": "other"}, "/etc/ld.so.cache of the base was changed"),
        ({f"{SITE}/sitecustomize.py": ""}, "/sitecustomize.py was added, and runs whenever Python starts"),
        ({f"{SITE}/usercustomize/__init__.py": ""}, "was added, and runs whenever Python starts"),
        ({f"{SITE}/x.pth": ""}, "/x.pth was added, and runs whenever Python starts"),
        (package("x", "1", {f"{SITE}/x.pth": ""}), "/x.pth was added, and runs whenever Python starts"),
        (package("x", "1", {f"{SITE}/sitecustomize.so": ""}), "was added, and runs whenever Python starts"),
        ({f"{SITE}/x.py": ""}, "/x.py was added, and belongs to no package"),
        ({f"{SITE}/x/__pycache__/y.cpython-313.pyc": ""}, "was added, and belongs to no package"),
        ({f"{SITE}/x.dist-info/METADATA": "Name: x"}, ""),
        ({f"{SITE}/x": "-> /home/assay/x"}, "/x was added, and belongs to no package"),
        ({"opt/assay/bin/more": ""}, "/opt/assay/bin/more was added, and belongs to no package"),
        ({"usr/lib/python3.13/sitecustomize.py": ""}, "was added, and belongs to no package"),
        ({"usr/lib/python313.zip": ""}, "/usr/lib/python313.zip was added, and belongs to no package"),
        ({"etc/ld.so.preload": ""}, "/etc/ld.so.preload was added, and belongs to no package"),
        ({"usr/lib/x86_64-linux-gnu/libx.so.1": ""}, "was added, and belongs to no package"),
        ({"usr/local/lib/libstdc++.so.6": ""}, "was added, and belongs to no package"),
        ({"etc/ssl/openssl.cnf": ""}, "/etc/ssl/openssl.cnf was added, and belongs to no package"),
        ({"usr/local/cuda/bin/ptxas": ""}, "was added, and belongs to no package"),
        (package("x", "1", {f"{SITE}/six/__init__.py": ""}), "was added, and hides /" + f"{SITE}/six.py of the base"),
        (package("x", "1", {f"{SITE}/deep/er.so": ""}), "was added, and hides /" + f"{SITE}/deep/er.py of the base"),
        (package("x", "1", {f"{SITE}/deep/er/x.py": ""}), "was added, and hides /" + f"{SITE}/deep/er.py"),
        (package("x", "1", {f"{SITE}/nvidia/__init__.py": ""}), "was added, and hides /" + f"{SITE}/nvidia"),
        ({"usr/local/bin/gcc": ""}, "/usr/local/bin/gcc was added, and hides /usr/bin/gcc of the base"),
        (package("six", "2", {}), "six is locked, and six 2 was added"),
    ],
)
def test_what_may_not(more: Files, said: str) -> None:
    if not said:
        assert added(more) == {"x": "?"}, "what names no version is told so"
        return
    with pytest.raises(CertificateFailed) as failed:
        added(EINOPS, more)
    assert said in failed.value.what
    assert "docs/derive.md" in failed.value.todo


def test_a_package_that_changes_files_of_the_base_is_named() -> None:
    """Such as a second CUDA, which lies in the folders of the first."""
    beside = package("nvidia-cuda-runtime-cu12", "12.9.79", {f"{SITE}/nvidia/cu13/lib/libcudart.so.13": "another"})
    with pytest.raises(CertificateFailed) as failed:
        added(beside)
    assert failed.value.what == (
        "nvidia-cuda-runtime-cu12 12.9.79 was added, and changed 1 file of the base: "
        f"/{SITE}/nvidia/cu13/lib/libcudart.so.13"
    )


def test_a_moved_pin_is_told_first() -> None:
    gone = {f"{SITE}/six-1.17.dist-info/.wh.{name}": "" for name in ("METADATA", "RECORD")}
    with pytest.raises(
        CertificateFailed, match=r"six is locked, and six 2 was added; six 2 was added, and changed 1"
    ):
        added({**gone, **package("six", "2", {f"{SITE}/six.py": "six 2"})})


def test_of_many_some_are_named() -> None:
    with pytest.raises(CertificateFailed, match=r"; and 6 more$|; and 6 more\n"):
        added({f"{SITE}/x{number}.py": "" for number in range(10)})


def test_a_record_that_is_none_owns_nothing() -> None:
    about = f"{SITE}/x-1.dist-info"
    with pytest.raises(CertificateFailed, match="belongs to no package"):
        added({f"{about}/METADATA": "Name: x\nVersion: 1\n", f"{about}/RECORD": '"', f"{SITE}/x.py": ""})


def test_a_name_that_a_terminal_would_obey() -> None:
    with pytest.raises(CertificateFailed) as failed:
        added({f"{SITE}/\x1b[2Jx.py": ""})
    assert "\x1b" not in str(failed.value)
