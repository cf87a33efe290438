"""Graphs that follow the data, in MXNet, through Gluon: as it runs by itself, and hybridized."""

from __future__ import annotations

from typing import Any

import mxnet as mx
from mxnet import autograd, gluon, nd

NOTES = {
    "until-compiled": "as many rounds as there may be: the operator while_loop has no gradient when hybridized",
    "early-exit-compiled": "all layers are computed: the operator cond gives wrong gradients when hybridized",
}
SCAFFOLD = ("array", "built")


def eager(block: Any) -> Any:
    return block


def compiled(block: Any) -> Any:
    block.hybridize()
    return block


def array(value: Any) -> Any:
    return nd.array(value, dtype="float64")


def built(*blocks: Any) -> int:
    """How many graphs were built of blocks."""
    return sum(getattr(one, "_cached_op", None) is not None for one in blocks)


class Weighted(gluon.HybridBlock):
    """A block with the weights that it is given, or with those of another one."""

    def __init__(self, task: Any, params: Any = None, **weights: Any) -> None:
        super().__init__(prefix="", params=params)
        self.task = task
        for name, value in weights.items():
            new = {"shape": value.shape, "dtype": "float64", "init": mx.init.Constant(array(value))}
            setattr(self, name, self.params.get(name, **({} if params else new)))
        if params is None:
            self.initialize()


def lengths(task: Any, how: Any) -> Any:
    gru = gluon.rnn.GRU(4, input_size=3)
    gru.cast("float64")
    gru.initialize()
    gru.l0_i2h_weight.set_data(array(task.w_ih))
    gru.l0_h2h_weight.set_data(array(task.w_hh))
    gru.l0_i2h_bias.set_data(array(task.b_ih))
    gru.l0_h2h_bias.set_data(array(task.b_hh))
    gru = how(gru)
    states = []
    with autograd.record():
        for sequence in task.sequences:
            _, (state,) = gru(array(sequence).expand_dims(1), [nd.zeros((1, 1, 4), dtype="float64")])
            states.append(state.reshape(4))
        states = nd.stack(*states)
        loss = 0.5 * (states**2).sum()
    loss.backward()
    return (states.asnumpy(), gru.l0_i2h_weight.grad().asnumpy()), built(gru)


class Tree(Weighted):
    def hybrid_forward(self, F: Any, tree: Any, w: Any, b: Any) -> Any:
        if isinstance(tree, (tuple, list)):
            both = [self.hybrid_forward(F, one, w, b) for one in tree]
            return F.tanh(F.FullyConnected(F.concat(*both, dim=1), w, b, num_hidden=4))
        return tree


def leaves_of(tree: Any) -> Any:
    return [leaves_of(one) for one in tree] if isinstance(tree, tuple) else array(tree[None])


def tree(task: Any, how: Any) -> Any:
    block = how(Tree(task, w=task.w_tree, b=task.b_tree))
    with autograd.record():
        roots = nd.concat(*(block(leaves_of(one)) for one in task.trees), dim=0)
        loss = 0.5 * (roots**2).sum()
    loss.backward()
    return (roots.asnumpy(), block.w.grad().asnumpy()), built(block)


def tree_rewritten(task: Any, how: Any) -> Any:
    """A hybrid block takes trees of one form: each form gets a block of its own, with the same weights."""
    first = Tree(task, w=task.w_tree, b=task.b_tree)
    others = [Tree(task, first.params, w=task.w_tree, b=task.b_tree) for _ in task.trees[1:]]
    blocks = [how(block) for block in (first, *others)]
    with autograd.record():
        roots = nd.concat(*(block(leaves_of(one)) for block, one in zip(blocks, task.trees)), dim=0)
        loss = 0.5 * (roots**2).sum()
    loss.backward()
    return (roots.asnumpy(), first.w.grad().asnumpy()), built(*blocks)


class Settle(Weighted):
    def hybrid_forward(self, F: Any, x: Any, w: Any, u: Any) -> Any:
        rounds = 0
        while True:
            before, x = x, F.tanh(F.FullyConnected(x, w, u, num_hidden=4))
            rounds += 1
            if (x - before).abs().max() < self.task.epsilon:
                return x, F.full((1,), rounds)


class SettleByOperators(Weighted):
    """The operator while_loop has no gradient in a hybrid block: foreach has, over as many rounds as there may be."""

    def hybrid_forward(self, F: Any, x: Any, w: Any, u: Any) -> Any:
        def round_of(number: Any, state: Any) -> Any:
            x, rounds, going = state
            after = F.tanh(F.FullyConnected(x, w, u, num_hidden=4))
            after = F.broadcast_mul(going, after) + F.broadcast_mul(1 - going, x)
            rounds = going * number + (1 - going) * rounds
            return [], [after, rounds, going * (F.max(F.abs(after - x)) >= self.task.epsilon)]

        numbers = F.arange(1, 65, dtype="float64").reshape((64, 1))
        one = F.ones((1,), dtype="float64")
        _, (x, rounds, _) = F.contrib.foreach(round_of, numbers, [x, one * 0, one])
        return x, rounds


def until(task: Any, how: Any, kind: Any = Settle) -> Any:
    block = how(kind(task, w=task.w_loop, u=task.u))
    with autograd.record():
        ends, counts = zip(*(block(array(start[None])) for start in task.starts))
        ends = nd.concat(*ends, dim=0)
        loss = 0.5 * (ends**2).sum()
    loss.backward()
    return (ends.asnumpy(), [one.asscalar() for one in counts], block.w.grad().asnumpy()), built(block)


def until_rewritten(task: Any, how: Any) -> Any:
    return until(task, how, SettleByOperators)


class Exits(Weighted):
    def hybrid_forward(self, F: Any, h: Any, heads: Any, **layers: Any) -> Any:
        for number, name in enumerate(sorted(layers)):
            h = F.tanh(F.FullyConnected(h, layers[name], no_bias=True, num_hidden=4))
            score = F.dot(h, F.slice_axis(heads, axis=0, begin=number, end=number + 1), transpose_b=True)
            if score.abs() > self.task.sure:
                break
        return score, F.full((1,), number, dtype="float64")


class ExitsByOperators(Weighted):
    """All layers are computed: the operator cond has wrong gradients in a hybrid block, and takes no float64."""

    def hybrid_forward(self, F: Any, h: Any, heads: Any, **layers: Any) -> Any:
        exits = []
        for number, name in enumerate(sorted(layers)):
            h = F.tanh(F.FullyConnected(h, layers[name], no_bias=True, num_hidden=4))
            score = F.dot(h, F.slice_axis(heads, axis=0, begin=number, end=number + 1), transpose_b=True).reshape(
                (1,)
            )
            exits.append((score, F.full((1,), number, dtype="float64")))
        score, number = exits[-1]
        for earlier, its_number in reversed(exits[:-1]):
            sure = earlier.abs() > self.task.sure
            score, number = F.where(sure, earlier, score), F.where(sure, its_number, number)
        return score, number


def early_exit(task: Any, how: Any, kind: Any = Exits) -> Any:
    layers = {f"w{number}": one for number, one in enumerate(task.layers)}
    block = how(kind(task, heads=task.heads, **layers))
    with autograd.record():
        scores, exits = zip(*(block(array(one[None])) for one in task.examples))
        scores = nd.concat(*scores, dim=0).reshape(-1)
        loss = 0.5 * (scores**2).sum()
    loss.backward()
    return (scores.asnumpy(), [one.asscalar() for one in exits], block.w0.grad().asnumpy()), built(block)


def early_exit_rewritten(task: Any, how: Any) -> Any:
    return early_exit(task, how, ExitsByOperators)


class Loss(Weighted):
    def hybrid_forward(self, F: Any, x: Any, y: Any, w1: Any, w2: Any) -> Any:
        return 0.5 * ((F.dot(F.tanh(F.dot(x, w1)), w2) - y) ** 2).sum(axis=1).mean()


def new_shape(task: Any, how: Any) -> Any:
    block = how(Loss(task, w1=task.w1, w2=task.w2))
    trainer = gluon.Trainer(block.collect_params(), "sgd", {"learning_rate": task.rate})

    def step(x: Any, y: Any) -> Any:
        with autograd.record():
            loss = block(array(x), array(y))
        loss.backward()
        trainer.step(1)
        return loss.asscalar()

    return step, lambda: built(block)
