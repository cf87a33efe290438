"""static.packages: what differs from the lock, and what pip says."""

from __future__ import annotations

import pytest

from smoke.checks.static.packages import (
    added,
    conflicts,
    differences,
    judge_packages,
    runs_at_start,
    shadowing,
    starters,
    without_record,
)
from smoke.installed.facts import Packages, Pip
from smoke.installed.survey import survey
from tests.unit.smoke.environment import Environment


def test_a_package_without_a_record_is_told(env: Environment) -> None:
    about = env.site / "framework-1.0.dist-info"
    (about / "RECORD").unlink()
    assert without_record(survey(env.site).distributions) == ["framework has no RECORD"]
    (about / "RECORD").write_bytes(b"\xff\xfe")
    assert "framework " in without_record(survey(env.site).distributions)[0]


def test_what_pip_says_counts_only_if_it_fails() -> None:
    assert conflicts(Pip(0, "No broken requirements found.\n")) == []
    assert conflicts(Pip(1, "a 1 requires b, which is not installed.\n")) == [
        "a 1 requires b, which is not installed."
    ]
    assert conflicts(Pip(1, "")) == ["it said nothing"]


@pytest.mark.parametrize(
    ("version", "wrong"),
    [
        (None, "thing 1.2 is locked and not installed"),
        ({"1.3"}, "thing 1.2 is locked, 1.3 is installed"),
        ({"1.2", "1.3"}, "thing 1.2 is locked, 1.2 and 1.3 is installed"),
        ({"1.2+cpu"}, "thing 1.2 is locked, 1.2+cpu is installed"),
    ],
)
def test_a_package_that_differs_from_its_lock_is_named_with_both_versions(
    version: set[str] | None, wrong: str
) -> None:
    assert differences({"thing": "1.2"}, {"thing": version} if version else {}) == [wrong]


def test_names_and_versions_are_compared_as_indexes_do() -> None:
    assert differences({"The_Thing.x": "2026.7.4"}, {"the-thing-x": {"2026.07.04"}}) == []
    assert differences({"a--b": "1"}, {"a-b": {"1"}}) == []


def found(versions: dict[str, set[str]], outside: dict[str, str] | None = None) -> Packages:
    return Packages((), (), (), versions, Pip(0, ""), outside or {})


def test_what_is_in_no_lock_was_added_and_is_named() -> None:
    assert added(found({"a-b": {"1"}, "more": {"2", "1"}}), {"A__b": "1"}) == {"more": "1 and 2"}
    assert added(found({"a-b": {"1"}}), {"A__b": "1"}) == {}


def test_what_lies_beside_the_environment_is_added_too_and_told() -> None:
    overlay = found({"a": {"1"}, "more": {"2"}}, {"more": "/home/assay/overlay"})
    assert added(overlay, {"a": "1"}) == {"more": "2, in /home/assay/overlay"}
    assert shadowing(overlay, {"a": "1"}) == []


def test_what_is_locked_may_not_lie_beside_the_environment_too() -> None:
    """Of the same version, no version tells: Python takes the one that it finds first."""
    overlay = found({"the-thing": {"1"}}, {"the-thing": "/home/assay/overlay"})
    assert added(overlay, {"The_Thing": "1"}) == {}
    assert shadowing(overlay, {"The_Thing": "1"}) == ["the-thing is locked, and lies in /home/assay/overlay too"]


def test_an_added_package_changes_nothing_and_is_counted(env: Environment) -> None:
    env.add("einops", "0.8.1", {"einops/__init__.py": b""})
    own = survey(env.site).distributions
    versions = {one.name: {one.version} for one in own}
    locked = {name: version for one in own for name, version in [(one.name, one.version)] if name != "einops"}
    result = judge_packages(Packages(own, (), (), versions, Pip(0, "")), locked)
    assert result.state == "pass"
    assert {one.name: (one.value, one.gate) for one in result.metrics}["added"] == ("1", None)
    moved = {**versions, "framework": {"1.1"}}
    result = judge_packages(Packages(own, (), (), moved, Pip(0, "")), locked)
    assert (result.state, result.reason) == ("fail", "framework 1.0 is locked, 1.1 is installed")
    assert result.remedy.startswith("Add packages that leave the image's own as they are")


@pytest.mark.parametrize("file", ["more.pth", "sitecustomize.py", "usercustomize/__init__.py", "sitecustomize.so"])
def test_an_added_package_that_runs_in_each_python_is_named(env: Environment, file: str) -> None:
    """What runs before the suite does could tell it anything."""
    env.add("more", "1", {file: b"", "more/deeper.pth": b"", "more/sitecustomize.py": b""})
    own = survey(env.site).distributions
    assert starters(own, {"framework": "1.0", "nvidia-cuda-runtime": "1", "nvidia-cudnn-cu13": "9"}) == [
        f"{env.site}/{file} was added by more, and runs whenever Python starts"
    ]
    assert starters(own, {one.name: one.version for one in own}) == [], "what is locked may"


def test_only_the_top_of_the_packages_is_run_at_start() -> None:
    assert runs_at_start("/site/a.pth", "/site")
    assert not runs_at_start("/site/a/a.pth", "/site")
    assert not runs_at_start("/bin/a.pth", "/site")


def test_each_wrong_thing_is_a_part_of_the_result(env: Environment) -> None:
    own = survey(env.site).distributions
    right = Packages(own, (), (), {one.name: {one.version} for one in own}, Pip(0, ""))
    locked = {"framework": "1.0"}
    result = judge_packages(right, locked)
    assert (result.id, result.state) == ("static.packages", "pass")
    assert {number.name: number.value for number in result.metrics} == {
        "wrong": "0",
        "packages": "3",
        "files": "13",
        "added": "2",
    }
    wrong = Packages(own, ("a was changed",), ("b is unlisted",), {"more": {"1"}}, Pip(1, "c conflicts\n"))
    assert judge_packages(wrong, locked).reason == (
        "a was changed; b is unlisted; framework 1.0 is locked and not installed; c conflicts"
    )
    assert judge_packages(Packages((), (), (), {}, Pip(0, "")), {}).state == "fail"
