"""The float64 reference of the timed networks, in NumPy: the losses of their first steps, gradients by hand.

``python compare/speed/_reference.py`` writes the losses that ``_expected.py`` holds. A layer takes an array and gives
its output and a function that turns the output's gradient into the input's; on the way that function adds the
gradients of the layer's weights to ``Model.gradients``.
"""

from __future__ import annotations

import numpy as np

from speed._layers import Layer, Pull, chain, flatten, heads, joined, max_pool, mean_over, relu, same, sigmoid, total
from speed._networks import (
    BATCHES,
    EPSILON,
    HIDDEN,
    LAYERS,
    LEARNING_RATE,
    MOMENTUM,
    STAGES,
    Arrays,
    Batch,
    batches,
    weights,
)

STEPS = 4  # enough for the momentum to show


def losses(network: str, start: Arrays, given: list[Batch]) -> list[float]:
    """The loss before each step of SGD with momentum, one step a batch: mean cross-entropy in nats."""
    model = Model(start)
    velocity = {name: np.zeros_like(value) for name, value in model.weights.items()}
    found = []
    for batch in given:
        loss, gradients = loss_and_gradients(network, model, batch)
        found.append(loss)
        for name, gradient in gradients.items():
            velocity[name] = MOMENTUM * velocity[name] + gradient
            model.weights[name] = model.weights[name] - LEARNING_RATE * velocity[name]
    return found


def loss_and_gradients(network: str, model: Model, batch: Batch) -> tuple[float, Arrays]:
    """A batch's mean cross-entropy, and its gradient by each weight."""
    model.gradients = {name: np.zeros_like(value) for name, value in model.weights.items()}
    inputs = batch.inputs if batch.inputs.dtype.kind == "i" else batch.inputs.astype(np.float64)
    logits, pull = NETWORKS[network](model)(inputs)
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    rows = np.arange(len(batch.labels))
    d_logits = np.exp(log_p)
    d_logits[rows, batch.labels] -= 1
    pull(d_logits / len(rows))
    return float(-log_p[rows, batch.labels].mean()), model.gradients


class Model:
    """Weights in float64, the gradients of the last pass, and the layers that have weights."""

    def __init__(self, start: Arrays) -> None:
        self.weights: Arrays = {name: np.array(value, np.float64) for name, value in start.items()}
        self.gradients: Arrays = {}

    def dense(self, name: str) -> Layer:
        """A product with (in, out), over the last axis, and a bias."""

        def layer(x: np.ndarray) -> tuple[np.ndarray, Pull]:
            w = self.weights[f"{name}.w"]

            def pull(d: np.ndarray) -> np.ndarray:
                rows = d.reshape(-1, d.shape[-1])
                self.gradients[f"{name}.w"] += x.reshape(-1, x.shape[-1]).T @ rows
                self.gradients[f"{name}.b"] += rows.sum(0)
                return d @ w.T

            return x @ w + self.weights[f"{name}.b"], pull

        return layer

    def conv(self, name: str, stride: int = 1, bias: bool = False) -> Layer:
        """A cross-correlation with a kernel of 3 by 3 on a border of zeros, or of 1 by 1."""

        def layer(x: np.ndarray) -> tuple[np.ndarray, Pull]:
            w = self.weights[f"{name}.w"]
            size, pad = w.shape[2], w.shape[2] // 2
            rows, columns = x.shape[2] // stride, x.shape[3] // stride
            wide = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
            views = [
                np.s_[:, :, i : i + stride * rows : stride, j : j + stride * columns : stride]
                for i in range(size)
                for j in range(size)
            ]
            seen = np.stack([wide[view] for view in views], 2).reshape(len(x), -1, rows * columns)
            matrix = w.reshape(len(w), -1)
            out = (matrix @ seen).reshape(len(x), -1, rows, columns)

            def pull(d: np.ndarray) -> np.ndarray:
                flat = d.reshape(len(d), len(w), -1)
                self.gradients[f"{name}.w"] += (flat @ seen.swapaxes(1, 2)).sum(0).reshape(w.shape)
                if bias:
                    self.gradients[f"{name}.b"] += d.sum((0, 2, 3))
                d_seen = (matrix.T @ flat).reshape(*x.shape[:2], len(views), rows, columns)
                d_wide = np.zeros_like(wide)
                for number, view in enumerate(views):
                    d_wide[view] += d_seen[:, :, number]
                return d_wide[:, :, pad : pad + x.shape[2], pad : pad + x.shape[3]]

            return (out + self.weights[f"{name}.b"][:, None, None] if bias else out), pull

        return layer

    def norm(self, name: str, axes: tuple[int, ...]) -> Layer:
        """Normalization over these axes: (0, 2, 3) of a batch, (-1,) of a layer; variance biased."""

        def layer(x: np.ndarray) -> tuple[np.ndarray, Pull]:
            turned = (slice(None), None, None) if len(axes) > 1 else ()
            g = self.weights[f"{name}.g"][turned]
            centred = x - x.mean(axes, keepdims=True)
            inverse = 1 / np.sqrt((centred**2).mean(axes, keepdims=True) + EPSILON)
            normal = centred * inverse

            def pull(d: np.ndarray) -> np.ndarray:
                others = axes if len(axes) > 1 else tuple(range(x.ndim - 1))
                self.gradients[f"{name}.g"] += (d * normal).sum(others)
                self.gradients[f"{name}.b"] += d.sum(others)
                d = d * g
                along = (d * normal).mean(axes, keepdims=True)
                return inverse * (d - d.mean(axes, keepdims=True) - normal * along)

            return normal * g + self.weights[f"{name}.b"][turned], pull

        return layer

    def gru(self, x: np.ndarray) -> tuple[np.ndarray, Pull]:
        """The last state; the reset gate weighs the state's part of the new value after its product and bias."""
        wx, wh, bx, bh = (self.weights[f"gru.{part}"] for part in ("wx", "wh", "bx", "bh"))
        state, kept = np.zeros((len(x), HIDDEN)), []
        for step in range(x.shape[1]):
            read, held = np.split(x[:, step] @ wx + bx, 3, 1), np.split(state @ wh + bh, 3, 1)
            r, z = sigmoid(read[0] + held[0]), sigmoid(read[1] + held[1])
            n = np.tanh(read[2] + r * held[2])
            kept.append((state, r, z, n, held[2]))
            state = (1 - z) * n + z * state

        def pull(d: np.ndarray) -> np.ndarray:
            d_x = np.zeros_like(x)
            for step in reversed(range(x.shape[1])):
                before, r, z, n, held = kept[step]
                d_n = d * (1 - z) * (1 - n**2)
                d_r, d_z = d_n * held * r * (1 - r), d * (before - n) * z * (1 - z)
                d_read, d_held = np.hstack([d_r, d_z, d_n]), np.hstack([d_r, d_z, d_n * r])
                self.gradients["gru.wx"] += x[:, step].T @ d_read
                self.gradients["gru.bx"] += d_read.sum(0)
                self.gradients["gru.wh"] += before.T @ d_held
                self.gradients["gru.bh"] += d_held.sum(0)
                d_x[:, step], d = d_read @ wx.T, d * z + d_held @ wh.T
            return d_x

        return state, pull

    def embedding(self, tokens: np.ndarray) -> tuple[np.ndarray, Pull]:
        """Each token's row, and that of its position."""

        def pull(d: np.ndarray) -> np.ndarray:
            np.add.at(self.gradients["token.w"], tokens, d)
            self.gradients["position.w"] += d.sum(0)
            return d

        return self.weights["token.w"][tokens] + self.weights["position.w"], pull

    def attention(self, name: str) -> Layer:
        """Self-attention of several heads, without mask."""

        def layer(x: np.ndarray) -> tuple[np.ndarray, Pull]:
            (q, pull_q), (k, pull_k), (v, pull_v) = (
                chain(self.dense(f"{name}.{part}"), heads)(x) for part in ("query", "key", "value")
            )
            scale = q.shape[-1] ** -0.5
            scores = np.exp((scores := q @ k.swapaxes(2, 3) * scale) - scores.max(-1, keepdims=True))
            p = scores / scores.sum(-1, keepdims=True)
            y, pull_out = chain(joined, self.dense(f"{name}.out"))(p @ v)

            def pull(d: np.ndarray) -> np.ndarray:
                d = pull_out(d)
                d_p = d @ v.swapaxes(2, 3)
                d_scores = p * (d_p - (d_p * p).sum(-1, keepdims=True)) * scale
                return pull_q(d_scores @ k) + pull_k(d_scores.swapaxes(2, 3) @ q) + pull_v(p.swapaxes(2, 3) @ d)

            return y, pull

        return layer


def _mlp(model: Model) -> Layer:
    return chain(model.dense("dense1"), relu, model.dense("dense2"), relu, model.dense("dense3"))


def _cnn(model: Model) -> Layer:
    first, second = (model.conv(name, bias=True) for name in ("conv1", "conv2"))
    return chain(first, relu, max_pool, second, relu, flatten, model.dense("dense"))


def _resnet(model: Model) -> Layer:
    blocks = [_block(model, f"block{number}", stride=1 if number == 1 else 2) for number in range(1, len(STAGES) + 1)]
    return chain(_normed(model, "stem", 1), relu, *blocks, mean_over((2, 3)), model.dense("dense"))


def _normed(model: Model, name: str, stride: int) -> Layer:
    return chain(model.conv(name, stride), model.norm(name, (0, 2, 3)))


def _block(model: Model, name: str, stride: int) -> Layer:
    short = _normed(model, f"{name}.short", stride) if stride > 1 else same
    both = chain(_normed(model, f"{name}.first", stride), relu, _normed(model, f"{name}.second", 1))
    return chain(total(short, both), relu)


def _gru(model: Model) -> Layer:
    return chain(model.gru, model.dense("dense"))


def _transformer(model: Model) -> Layer:
    def encoder(name: str) -> Layer:
        inner = chain(model.dense(f"{name}.inner"), relu, model.dense(f"{name}.outer"))
        read = chain(total(same, model.attention(name)), model.norm(f"{name}.norm1", (-1,)))
        return chain(read, total(same, inner), model.norm(f"{name}.norm2", (-1,)))

    layers = [encoder(f"layer{number}") for number in range(LAYERS)]
    return chain(model.embedding, *layers, mean_over((1,)), model.dense("dense"))


NETWORKS = {"mlp": _mlp, "cnn": _cnn, "resnet": _resnet, "gru": _gru, "transformer": _transformer}

if __name__ == "__main__":
    for network, sizes in BATCHES.items():
        for size in sizes:
            print(network, size, losses(network, weights(network), batches(network, size)[:STEPS]))
