"""static.coverage and what the report says of it."""

from __future__ import annotations

import dataclasses

from smoke.checks.static.coverage import judge_coverage, stack_of
from smoke.installed.facts import Closure, Survey
from smoke.installed.fatbin import Code, Coverage
from smoke.installed.survey import survey
from tests.unit.smoke.environment import Environment


def covered(env: Environment, *containers: Code, nvidia: bool = False) -> Survey:
    found = survey(env.site)
    coverage = Coverage(tuple(frozenset({code}) for code in containers))
    changed = (
        dataclasses.replace(library, code=coverage) if library.nvidia == nvidia else library
        for library in found.libraries
    )
    return dataclasses.replace(found, libraries=tuple(changed))


def test_the_gpu_that_is_there_must_be_served(env: Environment) -> None:
    found = covered(env, Code(False, 8, 0))
    assert judge_coverage(found, []).state == "pass"
    assert judge_coverage(found, [(8, 6)]).state == "pass"
    assert "compute capability 9.0" in judge_coverage(found, [(9, 0)]).reason


def test_the_certificate_says_from_where_on_there_is_no_code(env: Environment) -> None:
    found = covered(env, Code(False, 8, 0))
    assert stack_of(Closure(found, {}, (), ()))["served"] == {
        "wholly": ["8.0", "8.6", "8.9"],
        "partly": [],
        "unserved": "no code for compute capability 9.0 and later",
    }
    latest = {number.name: number.value for number in judge_coverage(found, []).metrics}["latest"]
    assert latest == "8.9"


def test_nvidia_s_code_does_not_stand_in_for_the_framework_s(env: Environment) -> None:
    assert judge_coverage(covered(env, Code(True, 7, 0), nvidia=True), []).state == "fail"


def test_code_that_serves_no_gpu_wholly_fails(env: Environment) -> None:
    assert judge_coverage(covered(env, Code(False, 8, 0), Code(False, 9, 0)), []).state == "fail"
