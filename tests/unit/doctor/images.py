"""Machines, and images with the code that our images' certificates name."""

from __future__ import annotations

import dataclasses

from assay.doctor import Certified, Gpu, Machine, cuda
from assay.doctor.cuda import Code, Library


def version(text: str) -> tuple[int, ...]:
    return cuda.numbers(text)


def pairs(text: str) -> frozenset[tuple[int, int]]:
    return frozenset(Code.parse(one).capability for one in text.split())


def library(cubin: str, ptx: str = "", name: str = "libframework.so") -> Library:
    return Library(name, frozenset(map(Code.parse, cubin.split())), frozenset(map(Code.parse, ptx.split())))


def image(
    version_of_cuda: str, *libraries: Library, wholly: str = "", partly: str = "", toolkit: str = "", **more: object
):
    major, minor = version(version_of_cuda)
    built = version(toolkit or version_of_cuda)
    facts = Certified(
        image="one",
        digest="sha256:" + "d" * 64,
        reference="assay/one",
        cuda=(major, minor),
        toolkit=(built[0], built[1]),
        libraries=libraries,
        wholly=pairs(wholly),
        partly=pairs(partly),
        levels={"cpu": "E2"},
    )
    return dataclasses.replace(facts, **more)


# As the images' certificates have them.
TORCH = image(
    "13.2",
    library("7.5 8.0 8.6 8.9 9.0 9.0a 10.0 10.0a 10.3f 12.0 12.0a 12.1a", name="libtorch_cuda.so"),
    library("7.5 8.0 8.6 9.0 10.0 12.0", name="libtorch_cuda_linalg.so"),
    wholly="8.0 8.6 8.9 9.0 10.0 10.3 12.0 12.1",
    partly="7.5",
)

TENSORFLOW = image(
    "12.9",
    library("6.0 7.0 8.0 8.9 9.0", "9.0", name="libtensorflow_cc.so.2"),
    library("7.5 8.0 8.6 9.0a 10.0f 12.0f", "12.0f", name="libcudnn_ops.so.9"),
    library("5.2", name="libcufft.so.11"),
    wholly="6.0 6.1 7.0 7.5 8.0 8.6 8.9 9.0 10.0 10.3 12.0 12.1",
    toolkit="12.5",
)

MXNET = image("11.8", library("5.0 6.0 7.0 8.0 8.6"), wholly="5.0 5.2 6.0 6.1 7.0 7.5 8.0 8.6 8.9")

THEANO = image("11.8", library("", "5.0a 8.6a 9.0a", name="libgpuarray.so.3"), wholly="5.0 8.6 9.0")  # by NVRTC

CAFFE = image("11.8", library("5.0 8.6", "8.6"), wholly="5.0 5.2 8.6 8.9 9.0 10.0 12.0", toolkit="11.2")


def on(driver: str, *capabilities: str, seen: bool = False) -> Machine:
    gpus = tuple(Gpu("GPU", Code.parse(one).capability) for one in capabilities)
    return Machine(driver=version(driver) or None, gpus=gpus, seen=seen)
