"""Flexibility, in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def network(task: Any) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(5, 4, bias=False), nn.Tanh(), nn.Linear(4, 3, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor(task.w1.T))
        model[2].weight.copy_(torch.tensor(task.w2.T))
    return model


def loss_of(scores: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return 0.5 * ((scores - y) ** 2).sum(1).mean()


def frozen_part(task: Any) -> tuple[Any, ...]:
    model = network(task)
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model[2].parameters(), lr=task.rate)
    x, y = torch.tensor(task.x), torch.tensor(task.y)
    for _ in range(task.steps):
        optimizer.zero_grad()
        loss_of(model(x), y).backward()
        optimizer.step()
    return model[0].weight.detach().T, model[2].weight.detach().T


SCAFFOLD = ("network", "loss_of")
