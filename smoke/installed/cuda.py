"""What NVIDIA says of CUDA: the least driver of each release, and which GPUs there are. Standard library only.

The tables are in cuda.json, so that the host reads the same ones.
"""

from __future__ import annotations

import re

from smoke import SUITE, gates

_TABLES = gates.load(SUITE / "cuda.json")
# The oldest driver for each major of the CUDA runtime, by NVIDIA's table of minor-version compatibility.
LEAST_DRIVER = {int(major): str(driver) for major, driver in _TABLES["least_driver"].items()}
# The GPUs that there are, by compute capability, oldest first. From NVIDIA's list of CUDA GPUs.
CAPABILITIES = tuple((int(major), int(minor)) for major, minor in (row.split(".") for row in _TABLES["capabilities"]))

# The libraries that CUDA consists of, by the beginnings of their names.
CUDA = re.compile(
    r"lib(cudart|cublas|cublasLt|cudnn(_\w+)?|cufft|cufftw|curand|cusolver|cusolverMg|cusparse|cusparseLt|nccl|nvrtc"
    r"(-builtins)?(\.alt)?|nvJitLink|cupti|cufile|nvToolsExt|nvshmem_host|nvvm|nvblas|cuda|nvidia-ml)\.so(\.|$)"
)
# What only a driver brings.
DRIVER = re.compile(r"lib(cuda|nvidia-[\w-]+|nvcuvid|nvoptix)\.so(\.|$)")


def same(version: str, label: str) -> bool:
    """True if the version begins with the label's parts."""
    parts = label.split(".")
    return version.split(".")[: len(parts)] == parts


def least_driver(runtime: str) -> str:
    """The oldest driver that runs this version of CUDA; empty if it is not known."""
    major = runtime.split(".", maxsplit=1)[0]
    return LEAST_DRIVER.get(int(major), "") if major.isdigit() else ""


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers, to be compared."""
    return tuple(int(digits) for digits in re.findall(r"\d+", version))
