"""The float64 reference that every framework is compared with, and the problem that it is computed on.

NumPy only, written out by hand: conv 3x3 (valid) -> tanh -> average pool 2 -> dense 32 -> tanh -> dense 10 ->
softmax cross-entropy, with its backward pass, and SGD with momentum. Arrays are NCHW; dense weights are (in, out).

tanh and not ReLU: a unit that flips at ReLU's kink raises the drift a hundredfold and hides faults. SGD and not
Adam: Adam divides by the gradient's own size and so hides a wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]

NAMES = ("conv.w", "conv.b", "dense1.w", "dense1.b", "dense2.w", "dense2.b")
BATCH, CHANNELS, SIZE, FILTERS, HIDDEN, CLASSES = 32, 3, 10, 8, 32, 10


@dataclass(frozen=True)
class Problem:
    """What is trained. Every array is float64 on a dyadic grid, so float32, tf32 and float16 hold it exactly.

    images: (batch, channels, height, width); labels: (batch,) int64; weights: by the names in ``NAMES``.
    One full batch per step; v = momentum * v + g, w = w - lr * v.
    """

    images: np.ndarray
    labels: np.ndarray
    weights: Mapping[str, np.ndarray]
    lr: float
    momentum: float
    steps: int


def problem(seed: int = 0, steps: int = 20) -> Problem:
    """The parity problem; RandomState because its stream is frozen across NumPy's versions."""
    random = np.random.RandomState(seed)
    pooled = FILTERS * ((SIZE - 2) // 2) ** 2
    shapes = {
        "conv.w": (FILTERS, CHANNELS, 3, 3),
        "conv.b": (FILTERS,),
        "dense1.w": (pooled, HIDDEN),
        "dense1.b": (HIDDEN,),
        "dense2.w": (HIDDEN, CLASSES),
        "dense2.b": (CLASSES,),
    }
    weights = {name: random.randint(-64, 65, shapes[name]) / 256.0 for name in NAMES}
    images = random.randint(-64, 65, (BATCH, CHANNELS, SIZE, SIZE)) / 64.0
    labels = random.randint(0, CLASSES, BATCH).astype(np.int64)
    return Problem(images, labels, weights, lr=0.0625, momentum=0.9, steps=steps)


def train(given: Problem) -> dict[str, Any]:
    """Trains in float64. Gives ``losses`` (one a step, before it), ``gradients`` (first step), ``weights`` (end)."""
    weights = {name: np.array(value, dtype=np.float64) for name, value in given.weights.items()}
    velocity = {name: np.zeros_like(value) for name, value in weights.items()}
    losses: list[float] = []
    first: Arrays = {}
    for step in range(given.steps):
        loss, gradients = loss_and_gradients(weights, given.images, given.labels)
        losses.append(loss)
        first = gradients if step == 0 else first
        for name, gradient in gradients.items():
            velocity[name] = given.momentum * velocity[name] + gradient
            weights[name] = weights[name] - given.lr * velocity[name]
    return {"losses": losses, "gradients": first, "weights": weights}


def loss_and_gradients(weights: Mapping[str, np.ndarray], x: np.ndarray, labels: np.ndarray) -> tuple[float, Arrays]:
    """The mean cross-entropy of a batch (nats) and its gradient by every weight."""
    hidden1 = np.tanh(conv(x, weights["conv.w"]) + weights["conv.b"][:, None, None])
    pooled = pool(hidden1)
    flat = pooled.reshape(len(x), -1)
    hidden2 = np.tanh(flat @ weights["dense1.w"] + weights["dense1.b"])
    loss, d_logits = _cross_entropy(hidden2 @ weights["dense2.w"] + weights["dense2.b"], labels)

    d_hidden2 = (d_logits @ weights["dense2.w"].T) * (1 - hidden2**2)
    d_pooled = (d_hidden2 @ weights["dense1.w"].T).reshape(pooled.shape)
    d_hidden1 = _unpool(d_pooled) * (1 - hidden1**2)
    return loss, {
        "conv.w": _conv_weight_gradient(x, d_hidden1),
        "conv.b": d_hidden1.sum((0, 2, 3)),
        "dense1.w": flat.T @ d_hidden2,
        "dense1.b": d_hidden2.sum(0),
        "dense2.w": hidden2.T @ d_logits,
        "dense2.b": d_logits.sum(0),
    }


def conv(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Valid cross-correlation: x (batch, in, h, w), w (out, in, kh, kw) -> (batch, out, h-kh+1, w-kw+1)."""
    height, width = x.shape[2] - w.shape[2] + 1, x.shape[3] - w.shape[3] + 1
    out = np.zeros((x.shape[0], w.shape[0], height, width))
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            out += np.einsum("bchw,oc->bohw", x[:, :, i : i + height, j : j + width], w[:, :, i, j])
    return out


def _conv_weight_gradient(x: np.ndarray, d_out: np.ndarray) -> np.ndarray:
    height, width = d_out.shape[2:]
    gradient = np.zeros((d_out.shape[1], x.shape[1], 3, 3))
    for i in range(3):
        for j in range(3):
            gradient[:, :, i, j] = np.einsum("bchw,bohw->oc", x[:, :, i : i + height, j : j + width], d_out)
    return gradient


def pool(x: np.ndarray) -> np.ndarray:
    """Average over windows of 2 by 2; height and width must be even."""
    batch, channels, height, width = x.shape
    return x.reshape(batch, channels, height // 2, 2, width // 2, 2).mean((3, 5))


def _unpool(d_out: np.ndarray) -> np.ndarray:
    return d_out.repeat(2, axis=2).repeat(2, axis=3) / 4


def _cross_entropy(logits: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    rows = np.arange(len(labels))
    d_logits = np.exp(log_p)
    d_logits[rows, labels] -= 1
    return float(-log_p[rows, labels].mean()), d_logits / len(labels)


def errors(found: Mapping[str, Any], right: Mapping[str, Any], start: Mapping[str, np.ndarray]) -> dict[str, float]:
    """How far a training is from the reference: the protocol's three numbers, each the worst case.

    loss: relative, over the steps; grad: ||g - g_ref|| / ||g_ref|| over the tensors, first step; dW: the same for the
    way that the weights went from ``start``. What is missing or of another shape raises ValueError or KeyError.
    """
    if len(found["losses"]) != len(right["losses"]):
        raise ValueError("{} losses, expected {}".format(len(found["losses"]), len(right["losses"])))
    losses, expected = np.asarray(found["losses"], np.float64), np.asarray(right["losses"], np.float64)
    return {
        "loss": _worst(np.abs(losses - expected) / np.abs(expected)),
        "grad": _worst([_distance(found["gradients"][name], right["gradients"][name], 0.0) for name in start]),
        "dW": _worst([_distance(found["weights"][name], right["weights"][name], start[name]) for name in start]),
    }


def _distance(found: Any, right: np.ndarray, start: Any) -> float:
    found = np.asarray(found, np.float64)
    if found.shape != right.shape:
        raise ValueError(f"shape {found.shape}, expected {right.shape}")
    return float(np.linalg.norm(found - right) / np.linalg.norm(right - start))


def _worst(values: Any) -> float:
    """The maximum, NaN if any is NaN (Python's own max would lose it)."""
    return float(np.max(np.asarray(values)))
