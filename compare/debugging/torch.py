"""Mistakes, in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

compiled = torch.compile
META = "the other device is PyTorch's meta device, which has shapes and no numbers"
NOTES = {"two-devices": META, "two-devices-compiled": META}


def eager(function: Any) -> Any:
    return function


def parameters(*values: Any) -> list[Any]:
    return [torch.tensor(one, requires_grad=True) for one in values]


def train(task: Any, loss_of: Any, weights: Any, batches: Any = None) -> list[float]:
    optimizer = torch.optim.SGD(weights, task.rate)
    losses = []
    for x, y in batches or task.batches():
        optimizer.zero_grad()
        loss = loss_of(torch.tensor(x), torch.tensor(y))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def wrong_shape(task: Any, how: Any) -> Any:
    w1, w2, narrow = parameters(task.w1, task.w2, task.narrow)

    @how
    def loss_of(x: Any, y: Any) -> Any:
        h = torch.tanh(x @ w1)
        print(h)
        h = h + x @ narrow  # <- the mistake
        return F.cross_entropy(h @ w2, y)

    return train(task, loss_of, [w1, w2, narrow])


def wrong_dtype(task: Any, how: Any) -> Any:
    w1, w2 = parameters(task.w1, task.w2)

    @how
    def loss_of(x: Any, y: Any) -> Any:
        print(w1)
        h = torch.tanh(x @ w1)  # <- the mistake
        return F.cross_entropy(h @ w2, y)

    return train(task, loss_of, [w1, w2], task.integer_batches())


def nan(task: Any, how: Any) -> Any:
    weights = parameters(*task.deep)

    @how
    def loss_of(h: Any, _: Any) -> Any:
        for number, w in enumerate(weights, 1):
            if number == 7:
                print(h)
                h = h / (h**2).mean(1, keepdim=True).sqrt()  # <- the mistake
            h = torch.tanh(h @ w)
        return (h**2).mean()

    return train(task, loss_of, weights, task.empty_batches())


def nan_checked(task: Any, how: Any) -> Any:
    with torch.autograd.set_detect_anomaly(True):
        return nan(task, how)


def label_range(task: Any, how: Any) -> Any:
    w1, w2 = parameters(task.w1, task.w2)

    @how
    def loss_of(x: Any, y: Any) -> Any:
        scores = torch.tanh(x @ w1) @ w2
        print(scores)
        return F.cross_entropy(scores, y)  # <- the mistake

    return train(task, loss_of, [w1, w2], task.bad_label_batches())


def gradients_kept(task: Any, how: Any) -> Any:
    w1, w2 = parameters(task.w1, task.w2)
    optimizer = torch.optim.SGD([w1, w2], task.rate)

    @how
    def loss_of(x: Any, y: Any) -> Any:
        return F.cross_entropy(torch.tanh(x @ w1) @ w2, y)

    losses = []
    for x, y in task.batches():
        loss = loss_of(torch.tensor(x), torch.tensor(y))
        print(w1.grad)
        loss.backward()  # <- the mistake
        optimizer.step()
        losses.append(loss.item())
    return losses


def two_devices(task: Any, how: Any) -> Any:
    w1, w2 = parameters(task.w1, task.w2)
    gain = torch.tensor(task.gain, device="meta")

    @how
    def loss_of(x: Any, y: Any) -> Any:
        h = torch.tanh(x @ w1)
        print(h)
        h = h * gain  # <- the mistake
        return F.cross_entropy(h @ w2, y)

    return train(task, loss_of, [w1, w2])


def in_place(task: Any, how: Any) -> Any:
    w1, w2 = parameters(task.w1, task.w2)

    @how
    def loss_of(x: Any, y: Any) -> Any:
        h = torch.tanh(x @ w1)
        print(h)
        h[0] = 0  # <- the mistake
        return F.cross_entropy(h @ w2, y)

    return train(task, loss_of, [w1, w2])


def broadcast(task: Any, how: Any) -> Any:
    w1, w2 = parameters(task.w1, task.w_one)

    @how
    def loss_of(x: Any, y: Any) -> Any:
        values = torch.tanh(x @ w1) @ w2
        print(values)
        return ((values - y) ** 2).mean()  # <- the mistake

    return train(task, loss_of, [w1, w2], task.regression_batches())


def broadcast_loss(task: Any, how: Any) -> Any:
    w1, w2 = parameters(task.w1, task.w_one)

    @how
    def loss_of(x: Any, y: Any) -> Any:
        values = torch.tanh(x @ w1) @ w2
        print(values)
        return F.mse_loss(values, y)  # <- the mistake

    return train(task, loss_of, [w1, w2], task.regression_batches())


def own_print(task: Any, how: Any) -> Any:
    w1, w2 = parameters(task.w1, task.w2)

    @how
    def loss_of(x: Any, y: Any) -> Any:
        h = torch.tanh(x @ w1)
        print(h)
        return F.cross_entropy(h @ w2, y)

    return train(task, loss_of, [w1, w2])
