"""What an image with pygpu does on a GPU, up to the GPU itself: everything is made, nothing runs.

Its code for the GPU is made when it runs: C by the compiler, linked with libgpuarray, and kernels by NVRTC. All that
this takes is a stand-in for the driver (driver-stand-in.c).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.images.conftest import Subject

pytestmark = pytest.mark.engine

STAND_IN = Path(__file__).with_name("driver-stand-in.c")
BUILD = "gcc -w -shared -fPIC -o /tmp/libcuda.so.1 /driver.c && LD_LIBRARY_PATH=/tmp exec python -W ignore -c"

WITHOUT_A_DRIVER = """
import pygpu
try:
    pygpu.init("cuda")
except pygpu.gpuarray.GpuArrayException as why:
    print("refused:", why)
"""

# What these libraries give is compared with what libgpuarray's own text names.
FUNCTIONS = """
import ctypes, pathlib, re, pygpu
text = pathlib.Path("/opt/env/lib/libgpuarray.so.3").read_bytes()
nvidia = pathlib.Path(pygpu.__file__).parents[1] / "nvidia"
patterns = {
    "cublas/lib/libcublas.so.11": rb"cublas\\w+_v2",
    "cuda_nvrtc/lib/libnvrtc.so.11.2": rb"nvrtc\\w+",
    "nccl/lib/libnccl.so.2": rb"nccl[A-Z]\\w+",
}
for path, pattern in patterns.items():
    library = ctypes.CDLL(str(nvidia / path))
    asked = {one.decode() for one in re.findall(rb"\\0(" + pattern + rb")(?=\\0)", text)}
    print(path, len(asked), *sorted(one for one in asked if not hasattr(library, one)))
"""

ON_THE_STAND_IN = """
import numpy, pygpu, theano
from theano import gpuarray
from theano.gpuarray.type import reg_context
context = pygpu.init("cuda0")
reg_context(None, context)
gpuarray.use("")
weights = theano.shared(numpy.full((4, 5), 2, "float32"))
step = theano.function([], updates=[(weights, theano.tensor.tanh(weights) + weights.sum(0))])
step()
print("device:", context.devname)
print("type:", type(weights.get_value(borrow=True, return_internal_type=True)).__name__)
print("operations:", *sorted({type(node.op).__name__ for node in step.maker.fgraph.toposort()}))
print("value:", weights.get_value().shape)
"""


@pytest.fixture
def pygpu(subject: Subject) -> Subject:
    """An image that has it."""
    if "pygpu" not in subject.image.built:
        pytest.skip(f"{subject.image.name} has no pygpu")
    return subject


def test_without_a_driver_it_says_so(pygpu: Subject) -> None:
    ran = pygpu.run("python", "-c", WITHOUT_A_DRIVER)
    assert ran.exit_code == 0, ran.output
    assert "libcuda.so.1: cannot open shared object file" in ran.output


def test_the_stack_has_every_function_that_it_asks_for(pygpu: Subject) -> None:
    ran = pygpu.run("python", "-c", FUNCTIONS)
    assert ran.exit_code == 0, ran.output
    asked = [line.split() for line in ran.output.splitlines()]
    assert len(asked) == 3
    assert all(int(row[1]) >= 5 for row in asked)
    assert [row[2:] for row in asked] == [[], [], []]


def test_its_operations_are_compiled_and_its_kernels_made(pygpu: Subject) -> None:
    ran = pygpu.run("sh", "-c", f'{BUILD} "$0"', ON_THE_STAND_IN, mounts={STAND_IN: "/driver.c"})
    assert ran.exit_code == 0, ran.output
    assert "device: stand-in" in ran.output
    assert "type: GpuArray" in ran.output
    assert "GpuElemwise" in ran.output.partition("operations:")[2]
    assert "value: (4, 5)" in ran.output
    assert ".target sm_80" in ran.output, "no kernel was made by NVRTC"
    assert "error" not in ran.output.lower()
