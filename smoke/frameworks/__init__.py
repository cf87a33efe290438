"""One file per framework, with the same functions in each; the only files of the suite that import one.

They take and give NumPy arrays and plain data. There is no layer over the frameworks: each file does the work in its
framework's own way, so that it is the framework that is certified. What a file must hold, by name and signature, is
``CONTRACT`` (functions) and ``CONSTANTS``; a unit test compares each file with it, without importing it.

Every function but ``describe`` is called after ``use_device`` and works on that device in the precision that it is
given, never on another one. ``be_deterministic`` is called before it, or not at all. A function that cannot do what
it is asked raises ``Cannot`` with the reason; better, ``CANNOT`` says so beforehand.

describe() -> dict
    What is loaded: ``name``, ``version``, and whatever else tells the build (CUDA, cuDNN, threads), JSON-ready.
be_deterministic() -> None
    Turns on every switch that makes two runs equal.
use_device(device: "cpu" | "gpu") -> None
    Puts all that follows on that device. Raises DeviceMissing for a GPU that is not there; never falls back. Where
    there is nothing but the CPU it sets nothing, so that what is certified is what a user's process does.
matmul(a, b, precision) -> array
    a (m, k) times b (k, n), widened to float64. precision: f64, f32, tf32, fp16 or bf16, asked of the framework as a
    user asks for it, so that what comes out shows what the framework really did.
conv2d(x, w, precision) -> array
    Valid cross-correlation of x (batch, in, h, w) with w (out, in, kh, kw), widened to float64.
train_parity(problem, precision, fault) -> dict
    Trains a ``smoke.reference.Problem`` and gives ``losses`` (per step, before it), ``gradients`` (first step) and
    ``weights`` (at the end) by the reference's names and shapes in float64, and ``device`` ("cpu" or "gpu"), read
    off the trained weights. fault: "" for none, else one of FAULTS.
train_compiled(problem, precision, compiler) -> dict
    The same, each step compiled by one of the file's COMPILERS; ``compiled`` counts what the compiler really made.
train_digits(digits, seed) -> dict
    Trains a small CNN on ``smoke.data.Digits``; gives ``predictions`` (labels for its test images), ``losses`` and
    ``seconds_per_step``.
train_sequence(lines, seed) -> dict
    Trains a recurrent network on ``smoke.data.Lines``, whose graph is as long as the line that it reads; gives
    ``bits`` (per character, on its test lines), ``losses`` and ``seconds_per_step``.
train_workload(name, digits, seed) -> dict
    One of the file's WORKLOADS, judged as ``train_digits`` is. One on text trains on ``smoke.data.speeches()``,
    predicts the labels of its test texts, and says so: ``data`` is "speeches".
save_checkpoint(problem, precision, steps, folder) -> None
    Trains ``steps`` steps and saves weights and optimizer in the framework's own format.
continue_checkpoint(problem, precision, folder) -> dict
    Loads that in a fresh process, trains the rest of ``problem.steps`` and gives what train_parity gives.
load_batches(count, workers) -> list
    Loads batches 0 .. count-1 (``smoke.data.batch``) through ``workers`` processes of the framework's own loader,
    or of Python's multiprocessing where it has none; gives the sum of each as the framework computes it.
device_evidence(device) -> dict
    Computes on ``device`` and tells where that really was: ``device`` ("cpu" or "gpu"), ``name``, ``bytes`` allocated
    on the GPU and ``kernels`` that its profiler counted there.
"""

from __future__ import annotations

CONTRACT: dict[str, tuple[str, ...]] = {
    "describe": (),
    "be_deterministic": (),
    "use_device": ("device",),
    "matmul": ("a", "b", "precision"),
    "conv2d": ("x", "w", "precision"),
    "train_parity": ("problem", "precision", "fault"),
    "train_compiled": ("problem", "precision", "compiler"),
    "train_digits": ("digits", "seed"),
    "train_sequence": ("lines", "seed"),
    "train_workload": ("name", "digits", "seed"),
    "save_checkpoint": ("problem", "precision", "steps", "folder"),
    "continue_checkpoint": ("problem", "precision", "folder"),
    "load_batches": ("count", "workers"),
    "device_evidence": ("device",),
}

# CANNOT: family or result id -> reason; COMPILERS and WORKLOADS: names. SWITCHES: what the file sets and a user does
# not, by what it is set for (see Bench.switches). TAKES_GPU: whether the framework takes a GPU by itself.
# FIRST_LINES: the first lines of its tutorial, as a program that is run by itself. Its last line of output is a JSON
# object: ``sum`` of three ones, ``gradient`` of the sum of x * x there, ``losses`` before and after a training step,
# ``loaded`` (what was saved and loaded is the same), ``device`` in the framework's words. All are literals.
CONSTANTS = ("CANNOT", "COMPILERS", "WORKLOADS", "SWITCHES", "TAKES_GPU", "FIRST_LINES")

# What train_parity puts wrong when told to: a bias that never gets its gradient, and products whose inputs are
# rounded to tf32's eleven bits, as a GPU does it in silence.
FAULTS = ("bias-gradient-dropped", "inputs-tf32")


class DeviceMissing(Exception):
    """The device that the plan declares is not there, or the framework cannot use it."""


class Cannot(Exception):
    """The framework cannot do this; the text says why. It becomes not-run, never a pass."""
