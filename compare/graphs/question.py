"""Do graphs follow the data? Four programs whose work depends on it, and what a batch of a new size costs.

Each program is written twice where a framework has two ways: as it runs by itself, and with the framework's compiler
("-compiled"). A framework's file has, besides what run.py asks for,
    eager, compiled     what its functions get as their second argument: the way to run a function. There is no
                        compiled where there is but one way, and ONE_WAY says which
    TOLERANCE           {cell: the relative error that is allowed}, where float64 (1e-12) cannot be had
    <name>_rewritten    the program as it must be written where <name>, in plain Python, does not work. It is measured
                        only then, and the text has what became of the plain one.
A function returns (arrays, graphs): arrays as EXPECTED has them, and how many graphs were traced, compiled or built
for them, or None where that cannot be counted. Values: way ("as written" or "rewritten"), graphs, uncompiled (the
compiler was asked, and left the program as it is).
"""

from __future__ import annotations

import time
import traceback
from typing import Any, Callable, Optional

import numpy as np

TITLE = "Do graphs follow the data?"
CLAIM = "PyTorch's dynamic graph is easier to experiment with: it follows the data, where others must compile first."
KIND = "facts"
CELLS = {
    "lengths": "A GRU over sequences of different lengths",
    "lengths-compiled": "A GRU over sequences of different lengths, compiled",
    "tree": "A recursion over trees",
    "tree-compiled": "A recursion over trees, compiled",
    "until": "A loop that runs until its values settle",
    "until-compiled": "A loop that runs until its values settle, compiled",
    "early-exit": "A network that stops at the first layer that is sure",
    "early-exit-compiled": "A network that stops at the first layer that is sure, compiled",
    "new-shape": "Batches of new sizes",
    "new-shape-compiled": "Batches of new sizes, compiled",
}
APART = False
LIMIT = 900
SIZES = (8, 8, 16, 8, 24, 16, 40, 24)

Arrays = tuple[np.ndarray, ...]


class Problem:
    """Float64 data and weights, weights as (outputs, inputs).

    lengths: sequences, four arrays (length, 3); a GRU of 4 units as cuDNN, PyTorch and Keras compute it (the reset
    gate after the product): w_ih (12, 3), w_hh (12, 4), b_ih (12,), b_hh (12,), the rows being reset, update, new.
    tree: trees, nested pairs of leaves (4,); a node is tanh(w_tree [left, right] + b_tree), w_tree (4, 8).
    until: starts (3, 4); x becomes tanh(w_loop x + u) until no element moves by epsilon or more.
    early-exit: examples (6, 4); layers, four (4, 4), and heads, four (4,): h = tanh(layer h), score = head h; the
    first score whose size is above sure is the answer, or else the last score.
    """

    def __init__(self, seed: int) -> None:
        random = np.random.RandomState(seed)
        self.sequences = [random.randn(length, 3) for length in (2, 5, 3, 7)]
        self.w_ih, self.w_hh = random.randn(12, 3) / 2, random.randn(12, 4) / 2
        self.b_ih, self.b_hh = random.randn(12) / 2, random.randn(12) / 2
        a, b, c, d = random.randn(4, 4)
        self.trees = [(a, b), ((a, b), (c, d)), (((a, b), c), (d, (c, a)))]
        self.w_tree, self.b_tree = random.randn(4, 8) / 2, random.randn(4) / 2
        self.starts, self.u, self.epsilon = random.randn(3, 4), random.randn(4) / 2, 1e-3
        self.w_loop = random.randn(4, 4)
        self.w_loop *= 0.8 / np.linalg.norm(self.w_loop, 2)  # so that it settles
        for _ in range(99):  # the last one has settled
            self.starts[-1] = np.tanh(self.w_loop @ self.starts[-1] + self.u)
        self.examples, self.layers, self.heads = random.randn(6, 4), random.randn(4, 4, 4), random.randn(4, 4)
        first = np.abs(np.tanh(self.examples @ self.layers[0].T) @ self.heads[0])
        self.sure = float(np.sort(first)[2:4].mean())  # half of the examples leave at once
        self.batches = [(random.randn(size, 5), random.randn(size, 3)) for size in SIZES]
        self.w1, self.w2, self.rate = random.randn(5, 4) / 2, random.randn(4, 3) / 2, 0.125


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _lengths(problem: Problem) -> Arrays:
    """The last states (4, 4), and the gradient of w_ih: of half their squares' sum."""
    found = [_gru(problem, sequence) for sequence in problem.sequences]
    return np.stack([state for state, _ in found]), np.sum([gradient for _, gradient in found], axis=0)


def _gru(problem: Problem, sequence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    state, steps = np.zeros(4), []
    for x in sequence:
        (ir, iz, in_), (hr, hz, hn) = (
            np.split(one, 3) for one in (problem.w_ih @ x + problem.b_ih, problem.w_hh @ state + problem.b_hh)
        )
        r, z = _sigmoid(ir + hr), _sigmoid(iz + hz)
        n = np.tanh(in_ + r * hn)
        steps.append((x, state, r, z, n, hn))
        state = (1 - z) * n + z * state
    gradient, back = np.zeros_like(problem.w_ih), state
    for x, before, r, z, n, hn in reversed(steps):
        dn = back * (1 - z) * (1 - n * n)
        dz, dr = back * (before - n) * z * (1 - z), dn * hn * r * (1 - r)
        gradient += np.outer(np.concatenate([dr, dz, dn]), x)
        back = back * z + problem.w_hh.T @ np.concatenate([dr, dz, dn * r])
    return state, gradient


def _tree(problem: Problem) -> Arrays:
    """The roots (3, 4), and the gradient of w_tree: of half their squares' sum."""
    gradient = np.zeros_like(problem.w_tree)

    def root(node: Any) -> tuple[np.ndarray, Callable[[np.ndarray], None]]:
        if not isinstance(node, tuple):
            return node, lambda back: None
        (left, to_left), (right, to_right) = root(node[0]), root(node[1])
        both = np.concatenate([left, right])
        value = np.tanh(problem.w_tree @ both + problem.b_tree)

        def down(back: np.ndarray) -> None:
            inside = back * (1 - value**2)
            gradient[...] += np.outer(inside, both)
            left_back, right_back = np.split(problem.w_tree.T @ inside, 2)
            to_left(left_back)
            to_right(right_back)

        return value, down

    roots = []
    for tree in problem.trees:
        value, down = root(tree)
        down(value)
        roots.append(value)
    return np.stack(roots), gradient


def _until(problem: Problem) -> Arrays:
    """Where each start settles (3, 4), after how many rounds (3,), and the gradient of w_loop, as above."""
    gradient, ends, counts = np.zeros_like(problem.w_loop), [], []
    for start in problem.starts:
        path = [start]
        while len(path) < 2 or np.abs(path[-1] - path[-2]).max() >= problem.epsilon:
            path.append(np.tanh(problem.w_loop @ path[-1] + problem.u))
        back = path[-1]
        for before, after in zip(path[-2::-1], path[:0:-1]):
            inside = back * (1 - after**2)
            gradient += np.outer(inside, before)
            back = problem.w_loop.T @ inside
        ends.append(path[-1])
        counts.append(len(path) - 1)
    assert len(set(counts)) > 1, "the problem asks for loops of different lengths"
    return np.stack(ends), np.array(counts), gradient


def _early_exit(problem: Problem) -> Arrays:
    """The scores (6,), at which layer each was found (6,), and the gradient of the first layer, as above."""
    gradient, scores, exits = np.zeros((4, 4)), [], []
    for example in problem.examples:
        path = [example]
        for number, (layer, head) in enumerate(zip(problem.layers, problem.heads)):
            path.append(np.tanh(layer @ path[-1]))
            score = head @ path[-1]
            if abs(score) > problem.sure:
                break
        back = score * problem.heads[number]
        for layer, after in zip(problem.layers[number:0:-1], path[:1:-1]):
            back = layer.T @ (back * (1 - after**2))
        gradient += np.outer(back * (1 - path[1] ** 2), example)
        scores.append(score)
        exits.append(number)
    assert len(set(exits)) > 1, "the problem asks for exits at different layers"
    return np.array(scores), np.array(exits), gradient


EXPECTED = {"lengths": _lengths, "tree": _tree, "until": _until, "early-exit": _early_exit}


def program(cell: str) -> str:
    """The plain program; measure says where it took the rewritten one."""
    return cell.replace("-compiled", "").replace("-", "_")


def cannot(cell: str, module: Any) -> Optional[str]:
    """Nothing is asked twice of a framework that has one way."""
    return module.ONE_WAY if cell.endswith("-compiled") and not hasattr(module, "compiled") else None


def measure(cell: str, function: Callable[..., Any], task: Any) -> dict[str, Any]:
    """Whether it works as written in plain Python, or rewritten, or in neither way."""
    asked, compiled = cell.replace("-compiled", ""), cell.endswith("-compiled")
    how = task.module.compiled if compiled else task.module.eager
    rewritten = getattr(task.module, f"{program(cell)}_rewritten", None)
    judge = _new_shape if asked == "new-shape" else _exact
    task.tolerance = getattr(task.module, "TOLERANCE", {}).get(cell, 1e-12)
    try:
        way, measured, text = "as written", function, None
        found = judge(asked, function, task, how)
    except Exception:
        if rewritten is None:
            raise
        lines = traceback.format_exc().strip().splitlines()
        way, measured, text = "rewritten", rewritten, "\n".join(line[:300] for line in lines[-12:])
        found = judge(asked, rewritten, task, how)
    if compiled and found.get("graphs") == 0:
        found["uncompiled"] = True
    return {"values": {"way": way, **found}, "text": text, "program": measured.__name__}


def _exact(cell: str, function: Callable[..., Any], task: Any, how: Any) -> dict[str, Any]:
    found, graphs = function(Problem(task.seed), how)
    expected = EXPECTED[cell](Problem(task.seed))
    assert len(found) == len(expected), f"{len(found)} arrays, and {len(expected)} are asked for"
    error = max(_error(one, right) for one, right in zip(found, expected))
    _judge(error, task)
    counted = {} if graphs is None else {"graphs": graphs}
    return {"error": error, "tolerance": task.tolerance, **counted}


def _judge(error: float, task: Any) -> None:
    assert error <= task.tolerance, f"it is {error:.1e} from the reference, and {task.tolerance:g} is allowed"


def _error(found: Any, right: np.ndarray) -> float:
    found = np.asarray(found, np.float64)
    assert found.shape == right.shape, f"an array of shape {found.shape}, and {right.shape} is asked for"
    return float(np.abs(found - right).max() / np.abs(right).max())


def _new_shape(cell: str, function: Callable[..., Any], task: Any, how: Any) -> dict[str, Any]:
    """Trains on batches of SIZES. The function returns step(x, y), which returns the loss, and graphs()."""
    problem = Problem(task.seed)
    step, graphs = function(problem, how)
    losses, seconds, counts = [], [], []
    for x, y in problem.batches:
        start = time.perf_counter()
        losses.append(float(step(x, y)))
        seconds.append(round(time.perf_counter() - start, 5))
        counts.append(graphs())
    error = _error(losses, np.array(_losses(problem)))
    _judge(error, task)
    new = [number for number, size in enumerate(SIZES) if size not in SIZES[:number]]
    known = [number for number in range(len(SIZES)) if number not in new]
    counted = {} if counts[-1] is None else {"graphs": counts[-1], "graphs_after_each": counts}
    return {
        "sizes": list(SIZES),
        **counted,
        "seconds_first": seconds[0],
        "seconds_new": [seconds[number] for number in new[1:]],
        "seconds_known": [seconds[number] for number in known],
        "error": error,
        "tolerance": task.tolerance,
    }


def _losses(problem: Problem) -> list[float]:
    """Of tanh(x w1) w2: half the squared distance to y, the mean over the batch; after each a step downhill."""
    w1, w2, losses = problem.w1, problem.w2, []
    for x, y in problem.batches:
        h = np.tanh(x @ w1)
        distance = h @ w2 - y
        losses.append(float(0.5 * (distance**2).sum(1).mean()))
        back = distance / len(x)
        downhill = x.T @ ((back @ w2.T) * (1 - h * h)), h.T @ back
        w1, w2 = w1 - problem.rate * downhill[0], w2 - problem.rate * downhill[1]
    return losses
