"""What NVRTC makes code for: proved by compiling, asked for only where a framework holds no code itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from smoke.checks.static.coverage import judge_coverage, stack_of
from smoke.installed import nvrtc
from smoke.installed.facts import Closure, Survey
from smoke.installed.fatbin import Code, Coverage
from smoke.installed.survey import survey
from tests.unit.smoke.environment import Environment, library


class Compiler:
    """NVRTC's functions: it names these architectures, and makes code for those; 0 is success, as there."""

    def __init__(self, named: Sequence[int], makes: Sequence[int]) -> None:
        self.named, self.makes, self.open, self.text = named, makes, 0, b""

    def nvrtcGetNumSupportedArchs(self, count: Any) -> int:
        count._obj.value = len(self.named)
        return 0

    def nvrtcGetSupportedArchs(self, named: Any) -> int:
        named[:] = self.named
        return 0

    def nvrtcCreateProgram(self, _program: Any, text: bytes, *_: Any) -> int:
        assert text == nvrtc.KERNEL
        self.open += 1
        return 0

    def nvrtcCompileProgram(self, _program: Any, count: int, options: Any) -> int:
        number = int(options[0].rpartition(b"_")[2])
        assert (count, options[0]) == (1, b"--gpu-architecture=compute_%d" % number)
        self.text = b".version 7.8\n.target sm_%d\n" % number
        return 0 if number in self.makes else 5

    def nvrtcGetPTXSize(self, _program: Any, size: Any) -> int:
        size._obj.value = len(self.text) + 1
        return 0

    def nvrtcGetPTX(self, _program: Any, text: Any) -> int:
        text.value = self.text
        return 0

    def nvrtcDestroyProgram(self, _program: Any) -> int:
        self.open -= 1
        return 0


def test_only_what_was_compiled_counts() -> None:
    compiler = Compiler(named=(50, 80, 90, 120), makes=(80, 90))
    assert list(nvrtc.compiled(compiler)) == [80, 90]
    assert compiler.open == 0


@pytest.mark.parametrize("call", ["nvrtcGetNumSupportedArchs", "nvrtcGetSupportedArchs", "nvrtcGetPTX"])
def test_a_compiler_that_refuses_makes_nothing(call: str) -> None:
    compiler = Compiler((80,), (80,))
    setattr(compiler, call, lambda *_: 1)
    assert list(nvrtc.compiled(compiler)) == []


def test_ptx_of_another_architecture_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = Compiler((80, 90), (80, 90))
    monkeypatch.setattr(Compiler, "nvrtcGetPTX", lambda _, __, text: setattr(text, "value", b".target sm_80") or 0)
    compiler.text = b"." * 20
    assert list(nvrtc.compiled(compiler)) == [80]


def test_a_compiler_that_does_not_load_makes_nothing(tmp_path: Path) -> None:
    (tmp_path / "libnvrtc.so.11.2").write_bytes(library("libnvrtc.so.11.2"))
    assert nvrtc.architectures(tmp_path / "libnvrtc.so.11.2") == []


def test_it_is_asked_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = tmp_path / "python"
    said.write_text("#!/bin/sh\necho '[35, 90, 120]'\n")
    said.chmod(0o755)
    monkeypatch.setattr(nvrtc.sys, "executable", str(said))
    codes = nvrtc.architectures(Path("libnvrtc.so.11.2"))
    assert [code.name for code in codes] == ["3.5a", "9.0a", "12.0a"]
    assert all(code.ptx for code in codes)
    assert codes[1].serves(9, 0)
    assert not codes[1].serves(10, 0)


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Survey:
    """A framework that is linked with NVRTC and holds no code; its NVRTC makes some for 8.0 and 9.0."""
    env = Environment(tmp_path)
    env.add("nvidia-cuda-nvrtc-cu11", "11.8.89", {"nvidia/nvrtc/lib/libnvrtc.so.11.2": library("libnvrtc.so.11.2")})
    env.add("framework", "1.0", {"framework/lib.so": library("", ("libnvrtc.so.11.2",))})
    made = [Code(True, 8, 0, "a"), Code(True, 9, 0, "a")]
    monkeypatch.setattr(nvrtc, "architectures", lambda path: made if path.name == "libnvrtc.so.11.2" else [])
    return survey(env.site)


def test_what_nvrtc_makes_is_what_the_framework_serves(found: Survey) -> None:
    assert judge_coverage(found, []).state == "fail"
    whole = nvrtc.with_run_time_code(found)
    assert whole.served.wholly() == ["8.0", "9.0"]
    assert [one.path.name for one in whole.own_libraries] == ["lib.so"]
    assert judge_coverage(whole, [(9, 0)]).state == "pass"
    assert judge_coverage(whole, [(10, 0)]).state == "fail"
    assert stack_of(Closure(whole, {}, (), ()))["coverage"] == {"lib.so": {"cubin": [], "ptx": ["8.0a", "9.0a"]}}


def test_code_that_is_there_decides(found: Survey) -> None:
    ready = Coverage((frozenset({Code(False, 7, 0)}),))
    libraries = tuple(one if one.nvidia else dataclasses.replace(one, code=ready) for one in found.libraries)
    whole = dataclasses.replace(found, libraries=libraries)
    assert nvrtc.with_run_time_code(whole) is whole


def test_without_a_compiler_that_works_nothing_is_served(found: Survey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvrtc, "architectures", lambda _: [])
    result = judge_coverage(nvrtc.with_run_time_code(found), [])
    assert result.state == "fail"
    assert "no code for any GPU" in result.reason
