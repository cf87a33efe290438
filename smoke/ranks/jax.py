"""JAX: jax.distributed, with arrays that are sharded over all processes. What each function does: ``smoke.ranks``."""

# The functions are documented once, in smoke.ranks, and have one signature in each file.
# ruff: noqa: ARG001, D103
from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax._src import xla_bridge  # it alone has what gloo is made by
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from smoke.kit import gloo
from smoke.machine import host
from smoke.ranks import HOST, Place, Share

CANNOT: dict[str, str] = {}
TRANSPORT: dict[str, str] = {"": "gloo"}
SWITCHES: tuple[str, ...] = ()

Weights = dict[str, Any]


def join(place: Place) -> tuple[int, str]:
    if host.has_gpu_device():
        jax.config.update("jax_platforms", "cpu")
    gloo.on_one_address(xla_bridge._jax, HOST)
    jax.distributed.initialize(f"{HOST}:{place.ports[0]}", place.count, place.rank)
    return jax.process_count(), str(jax.config.values["jax_cpu_collectives_implementation"])


def total(values: np.ndarray) -> np.ndarray:
    whole = jax.make_array_from_process_local_data(_rows(), values[None])
    return np.asarray(jax.jit(lambda x: x.sum(0, dtype=x.dtype), out_shardings=_everywhere())(whole))


def split(place: Place, count: int, seed: int) -> list[int]:
    """JAX has no sampler: the rows are those that the sharding of a batch puts on this process's devices."""
    shuffled = np.asarray(jax.random.permutation(jax.random.key(seed), count))
    slices = _rows().addressable_devices_indices_map((count,)).values()
    return [int(row) for one in slices for row in shuffled[one]]


def train(share: Share) -> dict[str, Any]:
    weights, velocity = _start(share)
    factor = np.full(len(share.rows), share.factor, np.float32)
    local = (share.images.astype(np.float32), share.labels.astype(np.int32), factor)
    batch = [jax.make_array_from_process_local_data(_rows(), one) for one in local]
    rates = (np.float32(share.problem.lr), np.float32(share.problem.momentum))
    losses: list[float] = []
    first: Weights = {}
    for step in range(share.steps):
        share.at(step)
        before = weights
        weights, velocity, loss, gradients = _step(weights, velocity, batch, rates)
        if step == share.stale:
            weights = {name: _replicated(value) for name, value in before.items()}
        losses.append(float(loss))
        first = first or gradients
    if share.save and jax.process_index() == 0:
        arrays = {kind + name: value for kind, part in zip("wv", (weights, velocity)) for name, value in part.items()}
        jnp.savez(Path(share.save, "checkpoint.npz"), **{name: np.asarray(one) for name, one in arrays.items()})
    multihost_utils.sync_global_devices("trained")
    return {
        "losses": losses,
        "gradients": {name: np.asarray(value) for name, value in first.items()},
        "weights": {name: np.asarray(value) for name, value in weights.items()},
    }


def leave() -> None:
    jax.distributed.shutdown()


@functools.cache
def _mesh() -> Any:
    return jax.sharding.Mesh(np.asarray(jax.devices()), ("rows",))


def _rows() -> NamedSharding:
    return NamedSharding(_mesh(), PartitionSpec("rows"))


def _everywhere() -> NamedSharding:
    return NamedSharding(_mesh(), PartitionSpec())


def _replicated(value: Any) -> Any:
    """An array that each process has whole, each its own."""
    return jax.make_array_from_process_local_data(_everywhere(), np.asarray(value, np.float32))


def _start(share: Share) -> tuple[Weights, Weights]:
    weights = dict(share.problem.weights)
    velocity = {name: np.zeros_like(value) for name, value in weights.items()}
    if share.load:
        with jnp.load(Path(share.load, "checkpoint.npz")) as saved:
            weights, velocity = ({name: saved[kind + name] for name in share.problem.weights} for kind in "wv")
    replicated = [{name: _replicated(one) for name, one in part.items()} for part in (weights, velocity)]
    return replicated[0], replicated[1]


@jax.jit
def _step(w: Weights, velocity: Weights, batch: Any, rates: Any) -> Any:
    """A step over the rows of all processes: XLA puts the sums between them in where the sharding asks for it."""
    (images, labels, factor), (lr, momentum) = batch, rates

    def losses(w: Weights) -> tuple[Any, Any]:
        each = _losses(w, images, labels)
        return (each * factor).mean(), each.mean()

    with jax.default_matmul_precision("highest"):
        (_, loss), gradients = jax.value_and_grad(losses, has_aux=True)(w)
    velocity = {name: momentum * velocity[name] + gradients[name] for name in w}
    weights = {name: w[name] - lr * velocity[name] for name in w}
    return lax.with_sharding_constraint((weights, velocity, loss, gradients), _everywhere())


def _losses(w: Weights, images: Any, labels: Any) -> Any:
    x = lax.conv_general_dilated(images, w["conv.w"], (1, 1), "VALID", dimension_numbers=("NCHW", "OIHW", "NCHW"))
    x = jnp.tanh(x + w["conv.b"][:, None, None])
    x = lax.reduce_window(x, np.float32(0), lax.add, (1, 1, 2, 2), (1, 1, 2, 2), "VALID") / 4
    x = jnp.tanh(x.reshape(len(images), -1) @ w["dense1.w"] + w["dense1.b"])
    x = x @ w["dense2.w"] + w["dense2.b"]
    return -jnp.take_along_axis(jax.nn.log_softmax(x), labels[:, None], 1)[:, 0]
