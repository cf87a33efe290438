"""TensorFlow: MultiWorkerMirroredStrategy over gRPC. What each function does: ``smoke.ranks``."""

# The functions are documented once, in smoke.ranks, and have one signature in each file.
# ruff: noqa: ARG001, D103
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Optional

import numpy as np
import tensorflow as tf
from tensorflow.python.eager import context as eager  # it alone tells what the ranks are connected by

from smoke.machine import host
from smoke.ranks import HOST, Place, Share

CANNOT: dict[str, str] = {}
TRANSPORT: dict[str, str] = {"": "grpc"}
SWITCHES: tuple[str, ...] = ()

_OPTIONS = tf.distribute.experimental.CommunicationOptions(
    implementation=tf.distribute.experimental.CommunicationImplementation.RING  # TensorFlow's own, over gRPC
)
_strategy: Optional[tf.distribute.MultiWorkerMirroredStrategy] = None


def join(place: Place) -> tuple[int, str]:
    global _strategy  # noqa: PLW0603 -- TensorFlow has one cluster a process, and no name for its strategy
    if host.has_gpu_device():
        tf.config.set_visible_devices([], "GPU")
    workers = [f"{HOST}:{port}" for port in place.ports[: place.count]]
    cluster = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": place.rank}}
    os.environ["TF_CONFIG"] = json.dumps(cluster)
    _strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=_OPTIONS)
    return _strategy.num_replicas_in_sync, eager.context()._collective_ops_server_def.protocol


def total(values: np.ndarray) -> np.ndarray:
    return _run(tf.function(lambda: _all_sum(tf.constant(values)))).numpy()


def split(place: Place, count: int, seed: int) -> list[int]:
    def own(context: Any) -> Any:
        shuffled = tf.data.Dataset.range(count).shuffle(count, seed=seed, reshuffle_each_iteration=False)
        rows = shuffled.shard(context.num_input_pipelines, context.input_pipeline_id)
        return rows.batch(count // context.num_input_pipelines)

    batches = _there().distribute_datasets_from_function(own)
    return [int(row) for row in _local(next(iter(batches))).numpy()]


def train(share: Share) -> dict[str, Any]:
    with _there().scope():
        training = _Training(share)
    if share.load:
        training.checkpoint.read(str(Path(share.load, "checkpoint"))).assert_consumed()
    losses: list[float] = []
    first: dict[str, np.ndarray] = {}
    for number in range(share.steps):
        share.at(number)
        before = {name: value.numpy() for name, value in training.weights.items()}
        loss, gradients = training.step()
        if number == share.stale:
            for name, value in training.weights.items():
                _local(value).assign(before[name])
        losses.append(float(loss))
        first = first or {name: value.numpy() for name, value in gradients.items()}
    if share.save:
        # All ranks write, as TensorFlow asks for, and only what the first one writes is read.
        rank = _there().cluster_resolver.task_id
        training.checkpoint.write(str(Path(share.save, f"other-{rank}" if rank else "checkpoint")))
    total(np.zeros(1, np.float32))
    return {
        "losses": losses,
        "gradients": first,
        "weights": {name: value.numpy() for name, value in training.weights.items()},
    }


def leave() -> None:
    """A program that uses the strategy ends without a word; none may while another one still waits for it."""
    total(np.zeros(1, np.float32))


class _Training:
    """The parity problem, with variables that each rank holds, and gradients that are averaged over all of them."""

    def __init__(self, share: Share) -> None:
        self.images, self.labels = tf.constant(share.images, tf.float32), tf.constant(share.labels)
        self.factor = tf.constant(share.factor)
        self.weights = {
            name: tf.Variable(tf.constant(value, tf.float32)) for name, value in share.problem.weights.items()
        }
        self.velocity = {name: tf.Variable(tf.zeros_like(value)) for name, value in self.weights.items()}
        self.lr, self.momentum = share.problem.lr, share.problem.momentum
        self.gradients = tf.function(self._gradients)
        self.checkpoint = tf.train.Checkpoint(weights=self.weights, velocity=self.velocity)

    def step(self) -> tuple[Any, dict[str, Any]]:
        """One step: the loss of this rank's rows before it, and the gradients, averaged."""
        loss, gradients = _run(self.gradients)
        for name, value in self.weights.items():
            self.velocity[name].assign(self.momentum * self.velocity[name] + gradients[name])
            value.assign_sub(self.lr * self.velocity[name])
        return loss, gradients

    def _gradients(self) -> tuple[Any, dict[str, Any]]:
        with tf.GradientTape() as tape:
            loss = self._loss()
            scaled = loss * self.factor
        gradients = tape.gradient(scaled, self.weights)
        context = tf.distribute.get_replica_context()
        return loss, context.all_reduce(tf.distribute.ReduceOp.MEAN, gradients)

    def _loss(self) -> Any:
        w = {name: tf.convert_to_tensor(value) for name, value in self.weights.items()}
        x = tf.nn.conv2d(tf.transpose(self.images, (0, 2, 3, 1)), tf.transpose(w["conv.w"], (2, 3, 1, 0)), 1, "VALID")
        x = tf.nn.avg_pool2d(tf.tanh(x + w["conv.b"]), 2, 2, "VALID")
        x = tf.reshape(tf.transpose(x, (0, 3, 1, 2)), (x.shape[0], -1))
        x = tf.tanh(x @ w["dense1.w"] + w["dense1.b"])
        x = x @ w["dense2.w"] + w["dense2.b"]
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(self.labels, x))


def _there() -> Any:
    assert _strategy is not None
    return _strategy


def _local(value: Any) -> Any:
    """What this rank holds of a value that each has."""
    (own,) = _there().experimental_local_results(value)
    return own


def _run(function: Any) -> Any:
    """Runs a function in each rank; gives what came of it in this one."""
    return tf.nest.map_structure(_local, _there().run(function))


def _all_sum(tensor: Any) -> Any:
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tensor)
