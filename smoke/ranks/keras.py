"""Keras on TensorFlow, under MultiWorkerMirroredStrategy. What each function does: ``smoke.ranks``."""

# The functions are documented once, in smoke.ranks, and have one signature in each file.
# ruff: noqa: ARG001, D103
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from smoke.machine import host
from smoke.ranks import HOST, Place, Share
from smoke.reference import NAMES

CANNOT: dict[str, str] = {
    "ranks.jax": "not tried with Keras: JAX's own image shows ranks on JAX",
    "ranks.torch": "Keras has no distribution on PyTorch: it leaves that to torch.distributed, see PyTorch's image",
}
TRANSPORT: dict[str, str] = {"tensorflow": "grpc"}
SWITCHES: tuple[str, ...] = ()

_strategies: list[Any] = []


def join(place: Place) -> tuple[int, str]:
    import tensorflow as tf
    from tensorflow.python.eager import context as eager  # it alone tells what the ranks are connected by

    if host.has_gpu_device():
        tf.config.set_visible_devices([], "GPU")
    workers = [f"{HOST}:{port}" for port in place.ports[: place.count]]
    cluster = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": place.rank}}
    os.environ["TF_CONFIG"] = json.dumps(cluster)
    ring = tf.distribute.experimental.CommunicationImplementation.RING  # TensorFlow's own, over gRPC
    options = tf.distribute.experimental.CommunicationOptions(implementation=ring)
    _strategies.append(tf.distribute.MultiWorkerMirroredStrategy(communication_options=options))
    return _strategies[0].num_replicas_in_sync, eager.context()._collective_ops_server_def.protocol


def total(values: np.ndarray) -> np.ndarray:
    """Keras has no collectives of its own: TensorFlow's, which its optimizers use."""
    import tensorflow as tf

    def whole() -> Any:
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.constant(values))

    return _local(_strategies[0].run(tf.function(whole))).numpy()


def split(place: Place, count: int, seed: int) -> list[int]:
    """Keras takes whatever data the strategy gives it: a shard of a dataset that all shuffle alike."""
    import tensorflow as tf

    def own(context: Any) -> Any:
        shuffled = tf.data.Dataset.range(count).shuffle(count, seed=seed, reshuffle_each_iteration=False)
        rows = shuffled.shard(context.num_input_pipelines, context.input_pipeline_id)
        return rows.batch(count // context.num_input_pipelines)

    return [int(row) for row in _local(next(iter(_strategies[0].distribute_datasets_from_function(own)))).numpy()]


def train(share: Share) -> dict[str, Any]:
    with _strategies[0].scope():
        model = keras.saving.load_model(Path(share.load, "checkpoint.keras")) if share.load else _model(share)
    step = _step(model, share)
    losses: list[float] = []
    first: dict[str, np.ndarray] = {}
    for number in range(share.steps):
        share.at(number)
        before = [ops.convert_to_numpy(one.value) for one in model.trainable_variables]
        losses.append(float(_local(_strategies[0].run(step))))
        for one, value in zip(model.trainable_variables, before) if number == share.stale else ():
            _local(one.value).assign(value)
        first = first or _named(model.optimizer.gradients)
    if share.save:
        # Whether a rank writes a file of its own or all write one is for the program to say; one is enough.
        chief = _strategies[0].cluster_resolver.task_id == 0
        model.save(Path(share.save, "checkpoint.keras" if chief else "other.keras"))
    total(np.zeros(1, np.float32))
    return {"losses": losses, "gradients": first, "weights": _named(model.trainable_variables)}


def leave() -> None:
    """A program that uses the strategy ends without a word; none may while another one still waits for it."""
    total(np.zeros(1, np.float32))


def _step(model: Any, share: Share) -> Any:
    """A step of a loop of one's own: train_on_batch ends in an error under this strategy, where it averages the loss.

    Keras's optimizer adds the ranks' gradients up, and its losses are a rank's part of the whole one.
    """
    import tensorflow as tf

    images = tf.constant(share.images.transpose(0, 2, 3, 1), tf.float32)
    labels, cross_entropy = tf.constant(share.labels), model.loss
    ranks = _strategies[0].num_replicas_in_sync

    @tf.function
    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = cross_entropy(labels, model(images, training=True))
            scaled = loss * share.factor
        variables = model.trainable_variables
        model.optimizer.apply(tape.gradient(scaled, variables), variables)
        return loss * ranks

    return step


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
    values = [np.asarray(_local(one.value)) for one in variables]
    return {name: one.transpose(3, 2, 0, 1) if one.ndim == 4 else one for name, one in zip(NAMES, values)}


def _local(value: Any) -> Any:
    """What this rank holds of a value that each has."""
    (own,) = _strategies[0].experimental_local_results(value)
    return own
