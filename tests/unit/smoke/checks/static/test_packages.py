"""static.packages: what differs from the lock, and what pip says."""

from __future__ import annotations

import pytest

from smoke.checks.static.packages import conflicts, differences, extra, judge_packages, without_record
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


def test_what_is_in_no_lock_is_named() -> None:
    installed = {"a-b": {"1"}, "more": {"2", "1"}}
    assert extra({"A__b": "1"}, installed) == ["more 1 and 2 is installed, and not locked"]


def test_each_wrong_thing_is_a_part_of_the_result(env: Environment) -> None:
    own = survey(env.site).distributions
    right = Packages(own, (), (), {"framework": {"1.0"}}, Pip(0, ""))
    locked = {"framework": "1.0"}
    result = judge_packages(right, locked)
    assert (result.id, result.state) == ("static.packages", "pass")
    assert {number.name: number.value for number in result.metrics} == {"wrong": "0", "packages": "3", "files": "13"}
    wrong = Packages(own, ("a was changed",), ("b is unlisted",), {"more": {"1"}}, Pip(1, "c conflicts\n"))
    assert judge_packages(wrong, locked).reason == (
        "a was changed; b is unlisted; framework 1.0 is locked and not installed; "
        "more 1 is installed, and not locked; c conflicts"
    )
    assert judge_packages(Packages((), (), (), {}, Pip(0, "")), {}).state == "fail"
