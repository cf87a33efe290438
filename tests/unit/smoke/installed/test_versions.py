"""The version calls of CUDA libraries, asked of made-up ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from smoke.installed.versions import Refused, has_version, versions


class Answers:
    """A library whose version calls answer with these numbers; it has no others."""

    def __init__(self, **numbers: int) -> None:
        self.numbers = numbers

    def __getattr__(self, name: str) -> Callable[[], int]:
        if name not in self.numbers:
            raise AttributeError(name)
        return lambda: self.numbers[name]


@pytest.mark.parametrize("part", ["ops", "cnn", "adv"])
@pytest.mark.parametrize("half", ["infer", "train"])
def test_each_part_of_cudnn_8_is_asked_whether_it_fits(part: str, half: str) -> None:
    name = f"libcudnn_{part}_{half}.so.8"
    call = f"cudnn{part.title()}{half.title()}VersionCheck"
    assert versions(name, Answers(**{call: 0})) == ("", "")
    with pytest.raises(Refused, match=f"{call} answers with the error 3"):
        versions(name, Answers(**{call: 3}))


class Runtime:
    """CUDA's runtime, as far as it is asked for its version."""

    def __init__(self, status: int, version: int = 0) -> None:
        self.status, self.version = status, version

    def cudaRuntimeGetVersion(self, out: object) -> int:
        out._obj.value = self.version  # type: ignore[attr-defined]
        return self.status


def test_cuda_11_s_runtime_does_not_tell_its_version_without_a_driver() -> None:
    assert versions("libcudart.so.11.0", Runtime(0, 11080)) == ("11.8", "11.8")
    assert versions("libcudart.so.11.0", Runtime(35)) == ("", "")
    with pytest.raises(Refused, match="error 3"):
        versions("libcudart.so.11.0", Runtime(3))


class Filled(Answers):
    """A library whose version calls fill in one of these numbers."""

    def __getattr__(self, name: str) -> Callable[..., int]:
        if name not in self.numbers:
            raise AttributeError(name)

        def call(out: object) -> int:
            out._obj.value = self.numbers[name]  # type: ignore[attr-defined]
            return 0

        return call


@pytest.mark.parametrize(
    ("name", "library", "expected"),
    [
        ("libcublas.so.13", Answers(cublasGetCudartVersion=13020), ("", "13.2")),
        ("libcublasLt.so.11", Answers(cublasLtGetCudartVersion=11080), ("", "11.8")),
        ("libcudnn.so.9", Answers(cudnnGetVersion=92600, cudnnGetCudartVersion=13000), ("9.26.0", "13.0")),
        ("libcudnn.so.8", Answers(cudnnGetVersion=8906), ("8.9.6", "")),
        ("libnccl.so.2", Filled(ncclGetVersion=23007), ("2.30.7", "")),
        ("libnccl.so.2", Filled(ncclGetVersion=2804), ("2.8.4", "")),
        ("libother.so.1", Answers(cudnnGetVersion=92600), ("", "")),
    ],
)
def test_versions_are_read_from_numbers(name: str, library: Answers, expected: tuple[str, str]) -> None:
    assert versions(name, library) == expected
    assert has_version(name) is (name != "libother.so.1")
