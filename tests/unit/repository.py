"""A small repository to build in: a base, a stack, two frameworks on it, and one on the base."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import ROOT

A, B = "a" * 64, "b" * 64

BASE = """
[image]
summary = "Debian"
[base]
suite = "trixie"
platform = "x86_64-manylinux_2_40"
include = ["python3"]
[labels]
python = "3.13"
"""
STACK = """
[image]
parent = "base/trixie"
summary = "CUDA 1"
[labels]
cuda = "1.0"
"""
FRAMEWORK = """
[image]
parent = "{parent}"
summary = "A framework"
workloads = ["digits"]
[framework]
name = "{name}"
module = "{name}"
[limits]
size_gb = 2
"""
LITERALS = "CANNOT = {}\nCOMPILERS = ()\nWORKLOADS = ()\nTAKES_GPU = False\n"
EVERYDAY = "CANNOT = {}\nFORMATS = ()\nEXTENSIONS = ()\n"
RANKS = 'CANNOT = {}\nTRANSPORT = {"": "gloo"}\n'
STACK_LOCK = f"cuda-lib==1.0 --hash=sha256:{A}\n"
PACKAGES = f"# rootfs sha256:{A}\npython3=3.13.5-1 sha256:{B}\n"

FILES = {
    "images/base/Dockerfile": "FROM scratch",
    "images/base/trixie/image.toml": BASE,
    "images/base/trixie/packages.lock": PACKAGES,
    "images/cuda/Dockerfile": "ARG PARENT",
    "images/cuda/1.0/image.toml": STACK,
    "images/cuda/1.0/requirements.in": "cuda-lib==1.0",
    "images/cuda/1.0/requirements.lock": STACK_LOCK,
    "images/Dockerfile": "ARG PARENT",
    "images/torchy/image.toml": FRAMEWORK.format(parent="cuda/1.0", name="torch"),
    "images/torchy/requirements.in": "torch==2.0",
    "images/torchy/requirements.lock": STACK_LOCK + f"torch==2.0 --hash=sha256:{B}\n",
    "images/tensory/image.toml": FRAMEWORK.format(parent="cuda/1.0", name="tensor"),
    "images/tensory/requirements.in": "tensor==1.0",
    "images/tensory/requirements.lock": STACK_LOCK + f"tensor==1.0 --hash=sha256:{B}\n",
    "images/plain/image.toml": FRAMEWORK.format(parent="base/trixie", name="plain"),
    "images/plain/requirements.in": "plain==1.0",
    "images/plain/requirements.lock": f"plain==1.0 --hash=sha256:{B}\n",
    "images/common/bin/entrypoint": "#!/bin/sh",
    "images/common/beside/assay-environment/assay_environment/__init__.py": "",
    "images/common/install/env.sh": "",
    "images/common/install/lock.sh": "#!/bin/sh",
    "images/common/install/byte_compile.py": "",
    "images/common/install/split_lock.py": "",
    "smoke/runner/run.py": "",
    "smoke/reference.py": "",
    "smoke/gates.json": (ROOT / "smoke/gates.json").read_text(),
    "smoke/levels.json": (ROOT / "smoke/levels.json").read_text(),
    "smoke/suite.json": (
        '{"schema": 1, "by_framework": ["frameworks", "everyday", "ranks"], "outside": ["report/compare.py"]}'
    ),
    "smoke/report/compare.py": "",
    "smoke/frameworks/torch.py": LITERALS,
    "smoke/frameworks/tensor.py": LITERALS,
    "smoke/frameworks/plain.py": LITERALS,
    **{f"smoke/everyday/{name}.py": EVERYDAY for name in ("torch", "tensor", "plain")},
    **{f"smoke/ranks/{name}.py": RANKS for name in ("torch", "tensor", "plain")},
    "README.md": "# Assay",
}


def repository(root: Path) -> Path:
    """Write the repository into a folder, and return that."""
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
