"""Flexibility, in PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

SCAFFOLD = ("network", "loss_of", "arrays")


def network(task: Any) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(5, 4, bias=False), nn.Tanh(), nn.Linear(4, 3, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor(task.w1.T))
        model[2].weight.copy_(torch.tensor(task.w2.T))
    return model


def loss_of(scores: Any, y: Any) -> Any:
    return 0.5 * ((scores - y) ** 2).sum(-1).mean()


def arrays(*tensors: Any) -> tuple[Any, ...]:
    """The reference's weights are (inputs, outputs), and nn.Linear's are the other way."""
    return tuple(one.detach().mT.numpy() for one in tensors)


class Binarize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inside: Any) -> Any:
        ctx.save_for_backward(inside)
        return inside.sign()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        (inside,) = ctx.saved_tensors
        return gradient * (inside.abs() <= 1)


def own_operation(task: Any) -> tuple[Any, ...]:
    first, _, second = network(task)
    scores = second(Binarize.apply(first(torch.tensor(task.x))))
    loss_of(scores, torch.tensor(task.y)).backward()
    return scores.detach(), *arrays(first.weight.grad)


class Normalized(torch.optim.Optimizer):
    def __init__(self, parameters: Any, lr: float, momentum: float) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for one in group["params"]:
                velocity = self.state[one].setdefault("velocity", torch.zeros_like(one))
                velocity.mul_(group["momentum"]).add_(one.grad / one.grad.norm())
                one.sub_(velocity, alpha=group["lr"])


def own_optimizer(task: Any) -> tuple[Any, ...]:
    model = network(task)
    optimizer = Normalized(model.parameters(), task.rate, task.momentum)
    x, y = torch.tensor(task.x), torch.tensor(task.y)
    for _ in range(task.steps):
        optimizer.zero_grad()
        loss_of(model(x), y).backward()
        optimizer.step()
    return arrays(*model.parameters())


def per_example_gradients(task: Any) -> tuple[Any, ...]:
    model = network(task)

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        return loss_of(torch.func.functional_call(model, parameters, (x,)), y)

    parameters = dict(model.named_parameters())
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    return arrays(*each(parameters, torch.tensor(task.x), torch.tensor(task.y)).values())


def hessian_vector(task: Any) -> tuple[Any, ...]:
    model = network(task)

    def loss(parameters: Any) -> Any:
        return loss_of(torch.func.functional_call(model, parameters, (torch.tensor(task.x),)), torch.tensor(task.y))

    parameters = dict(model.named_parameters())
    vector = {"0.weight": torch.tensor(task.v1.T), "2.weight": torch.tensor(task.v2.T)}
    _, product = torch.func.jvp(torch.func.grad(loss), (parameters,), (vector,))
    return arrays(*product.values())


def frozen_part(task: Any) -> tuple[Any, ...]:
    model = network(task)
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model[2].parameters(), lr=task.rate)
    x, y = torch.tensor(task.x), torch.tensor(task.y)
    for _ in range(task.steps):
        optimizer.zero_grad()
        loss_of(model(x), y).backward()
        optimizer.step()
    return arrays(*model.parameters())


def changed_gradients(task: Any) -> tuple[Any, ...]:
    model = network(task)
    hidden = model[:2](torch.tensor(task.x))
    hidden.register_hook(lambda gradient: gradient.clamp(-task.limit, task.limit))
    loss_of(model[2](hidden), torch.tensor(task.y)).backward()
    return arrays(*(one.grad for one in model.parameters()))


def activations(task: Any) -> tuple[Any, ...]:
    model = network(task)
    seen = []
    model[1].register_forward_hook(lambda layer, inputs, output: seen.append(output))
    scores = model(torch.tensor(task.x))
    return seen[0].detach(), scores.detach()
