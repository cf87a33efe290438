"""JAX: the headers of its wheel are those of XLA's foreign function interface, by which JAX calls C and C++."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np

from languages._program import Network, Program

ALONE = (
    "JAX calls it: a program of its own cannot be had, since the wheel has neither headers of XLA's runtime (PJRT) "
    "nor a library for the CPU that gives its functions to others."
)
NOTES = {"c": ALONE, "cpp": ALONE}


def c(folder: Path, network: Network) -> Program:
    return _layer("jax.c", network, "XLA's foreign function interface for C", ("-lm",))


def cpp(folder: Path, network: Network) -> Program:
    return _layer("jax.cpp", network, "XLA's foreign function interface for C++")


def others() -> list[Path]:
    return [Path(one.__file__).parent for one in (jax, jaxlib)]


def _layer(source: str, network: Network, interface: str, flags: tuple[str, ...] = ()) -> Program:
    """The first layer is the program's, the second JAX's."""
    x, w1, b1, w2, b2 = (jnp.asarray(one) for one in (network.rows, *network[:4]))

    def called(library: Path) -> Any:
        handler = ctypes.CDLL(str(library)).compare_dense
        jax.ffi.register_ffi_target("compare_dense", jax.ffi.pycapsule(handler), platform="cpu")
        dense = jax.ffi.ffi_call("compare_dense", jax.ShapeDtypeStruct((4, 5), jnp.float32))
        return np.asarray(jax.jit(lambda *given: dense(*given) @ w2 + b2)(x, w1, b1))

    return Program(
        source=source,
        python=np.asarray(jnp.tanh(x @ w1 + b1) @ w2 + b2),
        flags=(f"-I{jax.ffi.include_dir()}", *flags),
        call=called,
        interface=interface,
    )
