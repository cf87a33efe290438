"""JAX. What each function does: ``smoke.everyday``."""

# The functions are documented once, in smoke.everyday, and have one signature in each file.
# ruff: noqa: ARG001, D103
from __future__ import annotations

import ctypes
import functools
import pickle
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jax.experimental import serialize_executable
from jax.experimental.compilation_cache import compilation_cache

from smoke.kit import programs

FORMATS: tuple[str, ...] = (
    "export",
    "export-gradient",
    "executable",
    "compilation-cache",
    "npy",
    "npz",
    "pickle",
    "key",
)
EXTENSIONS: tuple[str, ...] = ("ffi",)
CANNOT: dict[str, str] = {}

_INPUTS = np.arange(12, dtype=np.float32).reshape(4, 3) / 8
_TARGETS = np.array([[1.0, -1.0], [0.5, 0.0], [0.0, 0.5], [-1.0, 1.0]], np.float32)
_HANDLER = """
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

static ffi::Error line(ffi::Buffer<ffi::F32> x, ffi::ResultBuffer<ffi::F32> y) {
  for (size_t i = 0; i < x.element_count(); i++) y->typed_data()[i] = 2 * x.typed_data()[i] + 1;
  return ffi::Error::Success();
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(smoke_line, line,
                              ffi::Ffi::Bind().Arg<ffi::Buffer<ffi::F32>>().Ret<ffi::Buffer<ffi::F32>>());
"""

Tree = dict[str, Any]


def write(name: str, folder: str) -> list[float]:
    return _WRITERS[name](Path(folder))


def read(name: str, folder: str) -> list[float]:
    return _READERS[name](Path(folder))


def extend(name: str, folder: str) -> list[float]:
    """A handler for the CPU, called by a compiled function."""
    library, source = Path(folder, "libline.so").resolve(), Path(folder, "line.cc")
    source.write_text(_HANDLER)
    programs.said(
        *(shutil.which("g++") or "g++", "-std=c++17", "-O2", "-shared", "-fPIC"),
        *(f"-I{jax.ffi.include_dir()}", source, "-o", library),
    )
    handler = ctypes.cdll.LoadLibrary(str(library)).smoke_line
    jax.ffi.register_ffi_target("smoke_line", jax.ffi.pycapsule(handler), platform="cpu")
    line = jax.ffi.ffi_call("smoke_line", jax.ShapeDtypeStruct((4,), jnp.float32))
    x = jax.device_put(np.arange(4, dtype=np.float32), jax.devices("cpu")[0])
    return _floats(jax.jit(line)(x))


def _floats(tree: Any) -> list[float]:
    return [float(one) for leaf in jax.tree.leaves(tree) for one in np.asarray(leaf, np.float64).ravel()]


def _start() -> Tree:
    """Weights and their momentum."""
    keys = jax.random.split(jax.random.key(1))
    weights = {
        "hidden": {"w": jax.random.normal(keys[0], (3, 5)), "b": jnp.zeros(5)},
        "scores": {"w": jax.random.normal(keys[1], (5, 2)), "b": jnp.zeros(2)},
    }
    return {"weights": weights, "momentum": jax.tree.map(jnp.zeros_like, weights)}


def _scores(weights: Tree, x: Any) -> Any:
    hidden = jnp.tanh(x @ weights["hidden"]["w"] + weights["hidden"]["b"])
    return hidden @ weights["scores"]["w"] + weights["scores"]["b"]


def _loss(weights: Tree, x: Any, y: Any) -> Any:
    return jnp.mean((_scores(weights, x) - y) ** 2)


@jax.jit
def _step(state: Tree, x: Any, y: Any) -> Tree:
    gradients = jax.grad(_loss)(state["weights"], x, y)
    momentum = jax.tree.map(lambda m, g: 0.9 * m + g, state["momentum"], gradients)
    return {"weights": jax.tree.map(lambda w, m: w - 0.1 * m, state["weights"], momentum), "momentum": momentum}


@functools.cache
def _trained() -> Tree:
    state = _start()
    for _ in range(3):
        state = _step(state, _INPUTS, _TARGETS)
    return state


def _write_export(folder: Path) -> list[float]:
    """A function of inputs of any number of rows, with its weights in it."""
    weights = _trained()["weights"]
    scores = jax.jit(lambda x: _scores(weights, x))
    rows = jax.ShapeDtypeStruct(export.symbolic_shape("rows, 3"), jnp.float32)
    (folder / "scores.bin").write_bytes(export.export(scores)(rows).serialize())
    return [*_floats(scores(_INPUTS)), *_floats(scores(_INPUTS[:2]))]


def _read_export(folder: Path) -> list[float]:
    scores = jax.jit(export.deserialize(bytearray((folder / "scores.bin").read_bytes())).call)
    return [*_floats(scores(_INPUTS)), *_floats(scores(_INPUTS[:2]))]


def _write_export_gradient(folder: Path) -> list[float]:
    """A function with its derivative, whose weights are arguments."""
    weights = _trained()["weights"]
    loss = jax.jit(_loss)
    shapes = jax.tree.map(lambda one: jax.ShapeDtypeStruct(one.shape, one.dtype), (weights, _INPUTS, _TARGETS))
    (folder / "loss.bin").write_bytes(export.export(loss)(*shapes).serialize(vjp_order=1))
    return _floats(jax.jit(jax.grad(loss))(weights, _INPUTS, _TARGETS))


def _read_export_gradient(folder: Path) -> list[float]:
    loss = export.deserialize(bytearray((folder / "loss.bin").read_bytes()))
    return _floats(jax.jit(jax.grad(loss.call))(_trained()["weights"], _INPUTS, _TARGETS))


def _write_executable(folder: Path) -> list[float]:
    """What was compiled for this machine."""
    compiled = _step.lower(_trained(), _INPUTS, _TARGETS).compile()
    _dump(serialize_executable.serialize(compiled), folder / "step.pkl")
    return _floats(compiled(_trained(), _INPUTS, _TARGETS))


def _read_executable(folder: Path) -> list[float]:
    compiled = serialize_executable.deserialize_and_load(*_load(folder / "step.pkl"))
    return _floats(compiled(_trained(), _INPUTS, _TARGETS))


def _write_compilation_cache(folder: Path) -> list[float]:
    """What JAX keeps by itself in the folder that it is told; it is made to keep also what compiles quickly."""
    # What this process has computed, or compiled, before, it would not look for in the folder.
    _trained.cache_clear()
    jax.clear_caches()
    compilation_cache.reset_cache()
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return _floats(_trained())


def _read_compilation_cache(folder: Path) -> list[float]:
    events: list[str] = []
    jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
    found = _write_compilation_cache(folder)
    if "/jax/compilation_cache/cache_hits" not in events:
        raise RuntimeError("JAX found nothing in the cache that another process filled")
    return found


def _write_npy(folder: Path) -> list[float]:
    weights = _trained()["weights"]["hidden"]["w"]
    jnp.save(folder / "weights.npy", weights)
    return _floats(weights)


def _read_npy(folder: Path) -> list[float]:
    return _floats(jnp.load(folder / "weights.npy"))


def _write_npz(folder: Path) -> list[float]:
    """The leaves of a tree, in its order."""
    state = _trained()
    jnp.savez(folder / "state.npz", *jax.tree.leaves(state))
    return _floats(_step(state, _INPUTS, _TARGETS))


def _read_npz(folder: Path) -> list[float]:
    with np.load(folder / "state.npz") as arrays:
        leaves = [jnp.asarray(arrays[name]) for name in arrays.files]
    state = jax.tree.unflatten(jax.tree.structure(_start()), leaves)
    return _floats(_step(state, _INPUTS, _TARGETS))


def _write_pickle(folder: Path) -> list[float]:
    """A tree with its arrays, one of them in bfloat16."""
    state = {**_trained(), "half": jnp.asarray(_INPUTS, jnp.bfloat16) / 3}
    _dump(state, folder / "state.pkl")
    return _pickled(state)


def _read_pickle(folder: Path) -> list[float]:
    return _pickled(_load(folder / "state.pkl"))


def _pickled(state: Tree) -> list[float]:
    return [*_floats(state["half"]), *_floats(_step({name: state[name] for name in _start()}, _INPUTS, _TARGETS))]


def _write_key(folder: Path) -> list[float]:
    """A random number generator's key, by the numbers that it is made of."""
    key = jax.random.fold_in(jax.random.key(1), 7)
    np.save(folder / "key.npy", np.asarray(jax.random.key_data(key)))
    return _floats(jax.random.normal(key, (8,)))


def _read_key(folder: Path) -> list[float]:
    return _floats(jax.random.normal(jax.random.wrap_key_data(jnp.load(folder / "key.npy")), (8,)))


def _dump(value: Any, file: Path) -> None:
    with file.open("wb") as opened:
        pickle.dump(value, opened)


def _load(file: Path) -> Any:
    with file.open("rb") as opened:
        return pickle.load(opened)  # noqa: S301 -- written by this file


def _named(prefix: str) -> dict[str, Any]:
    return {name: globals()[prefix + name.replace("-", "_")] for name in FORMATS}


_WRITERS, _READERS = _named("_write_"), _named("_read_")
