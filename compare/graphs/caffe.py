"""Graphs that follow the data, in Caffe, through pycaffe. Caffe computes in float32."""

from __future__ import annotations

import tempfile
from typing import Any

import caffe
import numpy as np
from caffe import layers as L
from caffe import params as P

TOLERANCE = dict.fromkeys(("lengths", "tree", "until", "early-exit", "new-shape"), 1e-4)
SCAFFOLD = ("net_of",)
ONE_WAY = "Caffe has one way: nets, layer by layer, in C++"
eager = None


def net_of(spec: Any) -> Any:
    """Nets are made of files."""
    message = spec.to_proto()
    message.force_backward = True  # to what is an input too
    with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
        file.write(str(message))
        file.flush()
        return caffe.Net(file.name, caffe.TRAIN)


def input_of(*shape: int) -> Any:
    return L.Input(shape={"dim": list(shape)})


def product(x: Any, name: str, outputs: int, **options: Any) -> Any:
    """A product whose weights are shared by all that have its name."""
    params = [{"name": f"{name}.w"}, {"name": f"{name}.b"}][: 1 if options.get("bias_term") is False else 2]
    return L.InnerProduct(x, num_output=outputs, param=params, **options)


def set_weights(net: Any, layer: str, *values: Any) -> None:
    for blob, value in zip(net.params[layer], values):
        blob.data[...] = value


def added(a: Any, b: Any, factor: float = 1.0) -> Any:
    return L.Eltwise(a, b, operation=P.Eltwise.SUM, coeff=[1.0, factor])


def multiplied(a: Any, b: Any) -> Any:
    return L.Eltwise(a, b, operation=P.Eltwise.PROD)


def lengths(task: Any, how: Any) -> Any:
    states, gradient = [], 0.0
    for sequence in task.sequences:
        spec = caffe.NetSpec()
        spec.start = state = input_of(1, 4)
        for number, _ in enumerate(sequence):
            spec[f"x{number}"] = x = input_of(1, 3)
            spec[f"in{number}"] = into = product(x, "ih", 12)
            spec[f"on{number}"] = on = product(state, "hh", 12)
            ir, iz, inew = L.Slice(into, ntop=3, axis=1)
            hr, hz, hnew = L.Slice(on, ntop=3, axis=1)
            r, z = L.Sigmoid(added(ir, hr)), L.Sigmoid(added(iz, hz))
            new = L.TanH(added(inew, multiplied(r, hnew)))
            state = added(new, multiplied(z, added(state, new, -1.0)))
        spec.state = state
        net = net_of(spec)
        set_weights(net, "in0", task.w_ih, task.b_ih)
        set_weights(net, "on0", task.w_hh, task.b_hh)
        net.blobs["start"].data[...] = 0
        for number, x in enumerate(sequence):
            net.blobs[f"x{number}"].data[...] = x
        net.forward()
        states.append(net.blobs["state"].data[0].copy())
        net.backward(state=net.blobs["state"].data)
        gradient += net.params["in0"][0].diff
    return (np.stack(states), gradient), len(task.sequences)


def tree(task: Any, how: Any) -> Any:
    roots, gradient = [], 0.0
    for one in task.trees:
        spec, leaves, nodes = caffe.NetSpec(), [], []

        def value(node: Any, spec: Any = spec, leaves: Any = leaves, nodes: Any = nodes) -> Any:
            if isinstance(node, tuple):
                both = L.Concat(*(value(side) for side in node), axis=1)
                nodes.append(f"node{len(nodes)}")
                spec[nodes[-1]] = node = product(both, "node", 4)
                return L.TanH(node)
            leaves.append(node)
            spec[f"leaf{len(leaves) - 1}"] = leaf = input_of(1, 4)
            return leaf

        spec.root = value(one)
        net = net_of(spec)
        set_weights(net, "node0", task.w_tree, task.b_tree)
        for number, leaf in enumerate(leaves):
            net.blobs[f"leaf{number}"].data[...] = leaf
        net.forward()
        roots.append(net.blobs["root"].data[0].copy())
        net.backward(root=net.blobs["root"].data)
        gradient += net.params["node0"][0].diff
    return (np.stack(roots), gradient), len(task.trees)


def until(task: Any, how: Any) -> Any:
    """As for any array; what caffe.layers give are names of blobs, which have no values before there is a net."""
    spec = caffe.NetSpec()
    spec.x = x = input_of(1, 4)
    rounds = 0
    while True:
        before, x = x, L.TanH(product(x, "loop", 4))
        rounds += 1
        if np.abs(x - before).max() < task.epsilon:
            break
    spec[f"after{rounds}"] = x
    net = net_of(spec)
    ends = [net.forward(x=np.float32(start)[None])[f"after{rounds}"][0].copy() for start in task.starts]
    return (np.stack(ends), [rounds] * len(ends), net.params["loop"][0].diff), 1


def until_rewritten(task: Any, how: Any) -> Any:
    """A net of one round; Python repeats it, keeps where it was, and goes back through the rounds."""
    spec = caffe.NetSpec()
    spec.x = input_of(1, 4)
    spec.inside = product(spec.x, "loop", 4)
    spec.after = L.TanH(spec.inside)
    net = net_of(spec)
    set_weights(net, "inside", task.w_loop, task.u)
    ends, counts = [], []
    for start in task.starts:
        path = [np.float32(start)]
        while len(path) < 2 or np.abs(path[-1] - path[-2]).max() >= task.epsilon:
            path.append(net.forward(x=path[-1][None])["after"][0].copy())
        back = path[-1]
        for before in path[-2::-1]:
            net.forward(x=before[None])
            back = net.backward(after=back[None])["x"][0].copy()
        ends.append(path[-1])
        counts.append(len(path) - 1)
    return (np.stack(ends), counts, net.params["inside"][0].diff), 1


def early_exit(task: Any, how: Any) -> Any:
    spec = caffe.NetSpec()
    spec.h = h = input_of(1, 4)
    for number in range(len(task.layers)):
        spec[f"inside{number}"] = inside = product(h, f"layer{number}", 4, bias_term=False)
        spec[f"h{number}"] = h = L.TanH(inside)
        spec[f"score{number}"] = product(h, f"head{number}", 1, bias_term=False)
    net = net_of(spec)
    for number, (layer, head) in enumerate(zip(task.layers, task.heads)):
        set_weights(net, f"inside{number}", layer)
        set_weights(net, f"score{number}", head[None])
    scores, exits = [], []
    for example in task.examples:
        net.blobs["h"].data[...] = example
        start = "h"
        for number in range(len(task.layers)):
            end = f"score{number}"
            net.forward(start=start, end=end)
            score = float(net.blobs[end].data)
            if abs(score) > task.sure or number == len(task.layers) - 1:
                break
            start = f"inside{number + 1}"
        for blob in net.blobs.values():
            blob.diff[...] = 0  # what lies behind the exit has left its own there
        net.blobs[end].diff[...] = score
        net.backward(start=end)
        scores.append(score)
        exits.append(number)
    return (scores, exits, net.params["inside0"][0].diff), 1


def new_shape(task: Any, how: Any) -> Any:
    spec = caffe.NetSpec()
    spec.x, spec.y = input_of(1, 5), input_of(1, 3)
    spec.first = L.InnerProduct(spec.x, num_output=4, bias_term=False)
    spec.second = L.InnerProduct(L.TanH(spec.first), num_output=3, bias_term=False)
    spec.loss = L.EuclideanLoss(spec.second, spec.y)
    net = net_of(spec)
    set_weights(net, "first", task.w1.T)
    set_weights(net, "second", task.w2.T)

    def step(x: Any, y: Any) -> Any:
        net.blobs["x"].reshape(*x.shape)
        net.blobs["y"].reshape(*y.shape)
        net.clear_param_diffs()
        loss = net.forward(x=x, y=y)["loss"]
        net.backward()
        for layer in ("first", "second"):
            weights = net.params[layer][0]
            weights.data[...] -= task.rate * weights.diff
        return loss

    return step, lambda: 1


NOTES = {
    "lengths": "Caffe has no GRU: each sequence gets a net, unrolled to its length, of simple layers",
    "tree": "each tree gets a net of its own",
    "early-exit": "a part of the net at a time, as long as Python says so",
}
