"""Keras on the backends that it distributes on: on TensorFlow under MultiWorkerMirroredStrategy, on JAX with its own
DataParallel. What each function does: ``smoke.ranks``.
"""

# The functions are documented once, in smoke.ranks, and have one signature in each file.
# ruff: noqa: ARG001, D103
from __future__ import annotations

import contextlib
import json
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Callable, Protocol

import keras
import numpy as np
from keras import layers

from smoke.kit import gloo
from smoke.machine import host
from smoke.ranks import HOST, Place, Share
from smoke.reference import NAMES

CANNOT: dict[str, str] = {
    "ranks.torch": "Keras has no distribution on PyTorch: it leaves that to torch.distributed, see PyTorch's image",
}
TRANSPORT: dict[str, str] = {"tensorflow": "grpc", "jax": "gloo"}
SWITCHES: tuple[str, ...] = ()

_joined: list[_Backend] = []


def join(place: Place) -> tuple[int, str]:
    backends: dict[str, Callable[[Place], _Backend]] = {"tensorflow": _TensorFlow, "jax": _JAX}
    _joined.append(backends[keras.config.backend()](place))
    return _joined[0].count, _joined[0].transport


def total(values: np.ndarray) -> np.ndarray:
    """Keras has no collectives of its own: those of its backend, which its training uses."""
    return _joined[0].total(values)


def split(place: Place, count: int, seed: int) -> list[int]:
    return _joined[0].split(count, seed)


def train(share: Share) -> dict[str, Any]:
    (backend,) = _joined
    with backend.scope():
        model = keras.saving.load_model(Path(share.load, "checkpoint.keras")) if share.load else _model(share)
    step = backend.step(model, share)
    losses: list[float] = []
    first: dict[str, np.ndarray] = {}
    for number in range(share.steps):
        share.at(number)
        before = [backend.own(one.value) for one in model.trainable_variables]
        losses.append(step())
        for one, value in zip(model.trainable_variables, before) if number == share.stale else ():
            backend.put(one, value)
        first = first or _named(model.optimizer.gradients)
    if share.save:
        # Whether a rank writes a file of its own or all write one is for the program to say; one is enough.
        model.save(Path(share.save, f"other-{backend.rank}.keras" if backend.rank else "checkpoint.keras"))
    total(np.zeros(1, np.float32))
    return {"losses": losses, "gradients": first, "weights": _named(model.trainable_variables)}


def leave() -> None:
    _joined[0].leave()


class _Backend(Protocol):
    """What Keras has no word for, or one for one backend only: ``own`` gives what this rank holds of a value that
    each has, ``put`` puts a value in the place of this rank's own, and ``step`` makes what trains one step and gives
    the loss.
    """

    rank: int
    count: int
    transport: str

    def scope(self) -> AbstractContextManager[Any]: ...
    def total(self, values: np.ndarray) -> np.ndarray: ...
    def split(self, count: int, seed: int) -> list[int]: ...
    def step(self, model: Any, share: Share) -> Callable[[], float]: ...
    def own(self, value: Any) -> np.ndarray: ...
    def put(self, variable: Any, value: np.ndarray) -> None: ...
    def leave(self) -> None: ...


class _TensorFlow:
    def __init__(self, place: Place) -> None:
        import tensorflow as tf
        from tensorflow.python.eager import context as eager  # it alone tells what the ranks are connected by

        if host.has_gpu_device():
            tf.config.set_visible_devices([], "GPU")
        workers = [f"{HOST}:{port}" for port in place.ports[: place.count]]
        cluster = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": place.rank}}
        os.environ["TF_CONFIG"] = json.dumps(cluster)
        ring = tf.distribute.experimental.CommunicationImplementation.RING  # TensorFlow's own, over gRPC
        options = tf.distribute.experimental.CommunicationOptions(implementation=ring)
        self._tf = tf
        self._strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
        self.rank = self._strategy.cluster_resolver.task_id
        self.count = self._strategy.num_replicas_in_sync
        self.transport = eager.context()._collective_ops_server_def.protocol

    def scope(self) -> AbstractContextManager[Any]:
        scope: AbstractContextManager[Any] = self._strategy.scope()
        return scope

    def total(self, values: np.ndarray) -> np.ndarray:
        def whole() -> Any:
            context = self._tf.distribute.get_replica_context()
            return context.all_reduce(self._tf.distribute.ReduceOp.SUM, self._tf.constant(values))

        return self.own(self._strategy.run(self._tf.function(whole)))

    def split(self, count: int, seed: int) -> list[int]:
        """Keras takes whatever data the strategy gives it: a shard of a dataset that all shuffle alike."""

        def own(context: Any) -> Any:
            shuffled = self._tf.data.Dataset.range(count).shuffle(count, seed=seed, reshuffle_each_iteration=False)
            rows = shuffled.shard(context.num_input_pipelines, context.input_pipeline_id)
            return rows.batch(count // context.num_input_pipelines)

        return [int(row) for row in self.own(next(iter(self._strategy.distribute_datasets_from_function(own))))]

    def step(self, model: Any, share: Share) -> Callable[[], float]:
        """A step of a loop of one's own: train_on_batch ends in an error under this strategy, where it averages the
        loss. Keras's optimizer adds the ranks' gradients up, and its losses are a rank's part of the whole one.
        """
        tf = self._tf
        images = tf.constant(share.images.transpose(0, 2, 3, 1), tf.float32)
        labels, cross_entropy = tf.constant(share.labels), model.loss

        @tf.function
        def step() -> Any:
            with tf.GradientTape() as tape:
                loss = cross_entropy(labels, model(images, training=True))
                scaled = loss * share.factor
            variables = model.trainable_variables
            model.optimizer.apply(tape.gradient(scaled, variables), variables)
            return loss * self.count

        return lambda: float(self.own(self._strategy.run(step)))

    def own(self, value: Any) -> np.ndarray:
        (own,) = self._strategy.experimental_local_results(value)
        found: np.ndarray = own.numpy()
        return found

    def put(self, variable: Any, value: np.ndarray) -> None:
        (own,) = self._strategy.experimental_local_results(variable.value)
        own.assign(value)

    def leave(self) -> None:
        """A program that uses the strategy ends without a word; none may while another one still waits for it."""
        self.total(np.zeros(1, np.float32))


class _JAX:
    def __init__(self, place: Place) -> None:
        import jax
        from jax._src import xla_bridge  # it alone has what gloo is made by

        if host.has_gpu_device():
            jax.config.update("jax_platforms", "cpu")
        gloo.on_one_address(xla_bridge._jax, HOST)
        keras.distribution.initialize(f"{HOST}:{place.ports[0]}", place.count, place.rank)
        keras.distribution.set_distribution(keras.distribution.DataParallel())
        self._jax = jax
        self.rank, self.count = jax.process_index(), jax.process_count()
        self.transport = str(jax.config.values["jax_cpu_collectives_implementation"])

    def scope(self) -> AbstractContextManager[Any]:
        """The distribution is that of the whole process."""
        return contextlib.nullcontext()

    def total(self, values: np.ndarray) -> np.ndarray:
        jax = self._jax
        rows = keras.distribution.distribution().get_data_layout((self.count, *values.shape)).backend_layout
        whole = jax.make_array_from_process_local_data(rows, values[None])
        everywhere = jax.sharding.NamedSharding(rows.mesh, jax.sharding.PartitionSpec())
        return self.own(jax.jit(lambda x: x.sum(0, dtype=x.dtype), out_shardings=everywhere)(whole))

    def split(self, count: int, seed: int) -> list[int]:
        """Keras asks for each process's part of a batch, and takes it to be that of its devices."""
        random = self._jax.random
        shuffled = np.asarray(random.permutation(random.key(seed), count))
        layout = keras.distribution.distribution().get_data_layout((count,)).backend_layout
        slices = layout.addressable_devices_indices_map((count,)).values()
        return [int(row) for one in slices for row in shuffled[one]]

    def step(self, model: Any, share: Share) -> Callable[[], float]:
        """Keras's own step, whose loss is that of all rows. A factor weighs this rank's samples."""
        images = np.ascontiguousarray(share.images.transpose(0, 2, 3, 1), np.float32)
        labels, weights = share.labels.astype(np.int32), np.full(len(share.rows), share.factor, np.float32)
        return lambda: float(model.train_on_batch(images, labels, weights))

    def own(self, value: Any) -> np.ndarray:
        return np.array(value)

    def put(self, variable: Any, value: np.ndarray) -> None:
        """Whatever Keras would put in the place of all ranks' values, JAX would first compare between them."""
        sharding = variable.value.sharding
        variable.assign(self._jax.make_array_from_process_local_data(sharding, value))

    def leave(self) -> None:
        self._jax.distributed.shutdown()


@keras.saving.register_keras_serializable("smoke")
class _SGD(keras.optimizers.SGD):
    """Keras's SGD, which also keeps the gradients that it is handed: those of all ranks together."""

    def build(self, variables: list[Any]) -> None:
        if not self.built:
            super().build(variables)
            self.gradients = self.add_optimizer_variables(variables, "gradient")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        self.assign(self.gradients[self._get_variable_index(variable)], gradient)
        super().update_step(gradient, variable, learning_rate)


def _model(share: Share) -> Any:
    """The parity problem's network with its weights."""
    filters, channels, *_ = share.problem.weights["conv.w"].shape
    model = keras.Sequential(
        [
            keras.Input((*share.problem.images.shape[2:], channels)),
            layers.Conv2D(filters, 3, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Permute((3, 1, 2)),  # the reference flattens channels first
            layers.Flatten(),
            layers.Dense(share.problem.weights["dense1.w"].shape[1], activation="tanh"),
            layers.Dense(share.problem.weights["dense2.w"].shape[1]),
        ]
    )
    weights = [share.problem.weights[name] for name in NAMES]
    model.set_weights([one.transpose(2, 3, 1, 0) if one.ndim == 4 else one for one in weights])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(_SGD(share.problem.lr, momentum=share.problem.momentum, name="sgd"), loss)
    return model


def _named(variables: list[Any]) -> dict[str, np.ndarray]:
    """Variables by the reference's names, in its order of axes, as this rank has them."""
    values = [_joined[0].own(one.value) for one in variables]
    return {name: one.transpose(3, 2, 0, 1) if one.ndim == 4 else one for name, one in zip(NAMES, values)}
