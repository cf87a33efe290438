"""Graphs that follow the data, in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
import torch._dynamo
from torch import nn

SCAFFOLD = ("reset", "graphs", "parameter")
compiled = torch.compile


def eager(function: Any) -> Any:
    return function


def reset() -> None:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()


def graphs() -> int:
    """How many graphs torch.compile has compiled."""
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


def parameter(value: Any) -> Any:
    return nn.Parameter(torch.tensor(value))


def lengths(task: Any, how: Any) -> Any:
    reset()
    gru = nn.GRU(3, 4).double()
    gru.load_state_dict({f"{name}_l0": torch.tensor(getattr(task, name.replace("weight", "w").replace("bias", "b")))
                         for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")})  # fmt: skip

    @how
    def last_states(sequences: Any) -> Any:
        packed = nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
        return gru(packed)[1][0]

    states = last_states([torch.tensor(one) for one in task.sequences])
    (0.5 * (states**2).sum()).backward()
    return (states.detach(), gru.weight_ih_l0.grad), graphs()


def tree(task: Any, how: Any) -> Any:
    reset()
    w, b = parameter(task.w_tree), torch.tensor(task.b_tree)

    def value(node: Any) -> Any:
        if isinstance(node, tuple):
            return torch.tanh(w @ torch.cat([value(one) for one in node]) + b)
        return torch.as_tensor(node)

    root = how(value)
    roots = torch.stack([root(one) for one in task.trees])
    (0.5 * (roots**2).sum()).backward()
    return (roots.detach(), w.grad), graphs()


def until(task: Any, how: Any) -> Any:
    reset()
    w, u = parameter(task.w_loop), torch.tensor(task.u)

    @how
    def settle(x: Any) -> Any:
        rounds = 0
        while True:
            before, x = x, torch.tanh(w @ x + u)
            rounds += 1
            if (x - before).abs().max() < task.epsilon:
                return x, rounds

    ends, counts = zip(*(settle(torch.tensor(start)) for start in task.starts))
    ends = torch.stack(ends)
    (0.5 * (ends**2).sum()).backward()
    return (ends.detach(), counts, w.grad), graphs()


def early_exit(task: Any, how: Any) -> Any:
    reset()
    layers, heads = [parameter(one) for one in task.layers], torch.tensor(task.heads)

    @how
    def answer(h: Any) -> Any:
        for number, (layer, head) in enumerate(zip(layers, heads)):
            h = torch.tanh(layer @ h)
            score = head @ h
            if score.abs() > task.sure:
                break
        return score, number

    scores, exits = zip(*(answer(torch.tensor(one)) for one in task.examples))
    scores = torch.stack(scores)
    (0.5 * (scores**2).sum()).backward()
    return (scores.detach(), exits, layers[0].grad), graphs()


def new_shape(task: Any, how: Any) -> Any:
    reset()
    w1, w2 = parameter(task.w1), parameter(task.w2)
    optimizer = torch.optim.SGD([w1, w2], task.rate)

    @how
    def loss_of(x: Any, y: Any) -> Any:
        return 0.5 * ((torch.tanh(x @ w1) @ w2 - y) ** 2).sum(1).mean()

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_of(torch.tensor(x), torch.tensor(y))
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, graphs
