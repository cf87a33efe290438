"""The real data that is trained on, and batches that are made up where only their bytes matter. NumPy only.

Where the files come from, and their licences: PROVENANCE.md beside this file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent
BATCH_SHAPE = (64, 128, 128)


@dataclass(frozen=True)
class Digits:
    """Handwritten digits, 8 by 8: images (n, 1, 8, 8) float32 in 0..1, labels (n,) int64 in 0..9."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def epoch(self, size: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The training images once, in the seed's order, in batches of ``size``; the rest is left out."""
        order = np.random.RandomState(seed).permutation(len(self.train_labels))
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            yield self.train_images[chosen], self.train_labels[chosen]


def digits() -> Digits:
    """The UCI handwritten digits; every fifth image is a test image. Raises OSError if the file is gone."""
    table = np.loadtxt(str(FOLDER / "digits.csv.gz"), delimiter=",")
    images = (table[:, :64] / 16.0).astype(np.float32).reshape(-1, 1, 8, 8)
    labels = table[:, 64].astype(np.int64)
    test = np.arange(len(labels)) % 5 == 4
    return Digits(images[~test], labels[~test], images[test], labels[test])


def picture(image: np.ndarray) -> bytes:
    """One of the digits, (1, 8, 8), as an 8-bit grey picture (PGM) of its own whole numbers from 0 to 16."""
    height, width = image.shape[-2:]
    return b"P5 %d %d 255\n" % (width, height) + (image * 16).astype(np.uint8).tobytes()


@dataclass(frozen=True)
class TextBatch:
    """Lines of about one length, each array (lines, time): inputs, targets int64; mask float32, 0 past the end.

    A line's input is a newline and the line, its target the line and a newline.
    """

    inputs: np.ndarray
    targets: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class Lines:
    """A text's lines as numbers of ``alphabet``'s characters, each array (length,) int64 without its newline."""

    alphabet: str
    train: tuple[np.ndarray, ...]
    test: tuple[np.ndarray, ...]

    def epoch(self, size: int, seed: int) -> Iterator[TextBatch]:
        """The training lines once, batched by length, the batches in the order that the seed gives."""
        random = np.random.RandomState(seed)
        lines = [self.train[index] for index in random.permutation(len(self.train))]
        batches = self._batches(lines, size)
        for index in random.permutation(len(batches)):
            yield batches[index]

    def tests(self, size: int) -> list[TextBatch]:
        """The test lines, batched by length."""
        return self._batches(list(self.test), size)

    def _batches(self, lines: list[np.ndarray], size: int) -> list[TextBatch]:
        ordered = sorted(lines, key=len)
        return [self._batch(ordered[start : start + size]) for start in range(0, len(ordered), size)]

    def _batch(self, lines: list[np.ndarray]) -> TextBatch:
        newline = self.alphabet.index("\n")
        shape = (len(lines), max(len(line) for line in lines) + 1)
        inputs, targets = np.full(shape, newline, np.int64), np.full(shape, newline, np.int64)
        mask = np.zeros(shape, np.float32)
        for row, line in enumerate(lines):
            inputs[row, 1 : len(line) + 1] = line
            targets[row, : len(line)] = line
            mask[row, : len(line) + 1] = 1
        return TextBatch(inputs, targets, mask)


def lines() -> Lines:
    """The text's lines that are not empty; every tenth is a test line. Raises OSError if the file is gone."""
    text = (FOLDER / "coriolanus.txt").read_text(encoding="ascii")
    alphabet = "".join(sorted(set(text)))
    number = {character: index for index, character in enumerate(alphabet)}
    encoded = [np.array([number[one] for one in line], np.int64) for line in text.split("\n") if line]
    test = [index % 10 == 9 for index in range(len(encoded))]
    return Lines(
        alphabet,
        tuple(line for line, held in zip(encoded, test) if not held),
        tuple(line for line, held in zip(encoded, test) if held),
    )


def pair_bits(text: Lines) -> float:
    """Bits per character of the test lines under counts of character pairs (plus one) in the training lines."""
    size = len(text.alphabet)
    counts = np.ones((size, size))
    for batch in text._batches(list(text.train), 64):
        np.add.at(counts, (batch.inputs, batch.targets), batch.mask)
    surprise = -np.log(counts / counts.sum(1, keepdims=True)) / math.log(2)
    tests = text.tests(64)
    total = sum(float((surprise[one.inputs, one.targets] * one.mask).sum()) for one in tests)
    return total / sum(float(one.mask.sum()) for one in tests)


@dataclass(frozen=True)
class Speeches:
    """Speeches of two plays without their speakers' names; labels (n,) int64, the number of the play."""

    train_texts: tuple[str, ...]
    train_labels: np.ndarray
    test_texts: tuple[str, ...]
    test_labels: np.ndarray


PLAYS = ("coriolanus.txt", "romeo.txt")
SHORTEST = 40  # characters: "Ay, my lord." may be from any play


def speeches() -> Speeches:
    """The plays' speeches that are long enough; every fifth is a test speech. Raises OSError if a file is gone."""
    found: list[tuple[str, int]] = []
    for label, name in enumerate(PLAYS):
        play = (FOLDER / name).read_text(encoding="ascii")
        spoken = (" ".join(speech.split("\n")[1:]) for speech in play.split("\n\n"))
        found += [(words, label) for words in spoken if len(words) >= SHORTEST]
    texts = tuple(words for words, _ in found)
    labels = np.array([label for _, label in found], np.int64)
    test = np.arange(len(texts)) % 5 == 4
    train_texts, test_texts = (tuple(one for one, held in zip(texts, test) if held == part) for part in (False, True))
    return Speeches(train_texts, labels[~test], test_texts, labels[test])


def batch(index: int) -> np.ndarray:
    """The loader's batch number ``index``: 4 MiB of float32 whole numbers from 0 to 15, so that its sum is exact."""
    return np.random.RandomState(index).randint(0, 16, BATCH_SHAPE).astype(np.float32)


def batch_sum(index: int) -> float:
    """The sum of that batch: below 2^24, so exact in float32 in any order."""
    return float(batch(index).sum(dtype=np.float64))
