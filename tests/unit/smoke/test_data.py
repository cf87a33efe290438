from __future__ import annotations

import hashlib
import math

import numpy as np

from smoke import data, gates


def test_the_files_are_those_whose_origin_is_told():
    told = (data.FOLDER / "PROVENANCE.md").read_text()
    for name in ("digits.csv.gz", "coriolanus.txt", "romeo.txt"):
        assert hashlib.sha256((data.FOLDER / name).read_bytes()).hexdigest() in told, name


def test_digits_have_ten_classes_in_both_parts_and_no_image_twice():
    digits = data.digits()
    assert len(digits.train_labels) + len(digits.test_labels) == 1797
    assert set(digits.train_labels) == set(digits.test_labels) == set(range(10))
    assert digits.train_images.dtype == np.float32
    assert (digits.train_images.min(), digits.train_images.max()) == (0, 1)
    seen = {image.tobytes() for image in digits.train_images}
    assert not any(image.tobytes() in seen for image in digits.test_images)


def test_an_epoch_shows_each_image_at_most_once_in_the_seeds_order():
    digits = data.digits()
    one, again, other = (np.concatenate([labels for _, labels in digits.epoch(32, seed)]) for seed in (1, 1, 2))
    assert len(one) == len(digits.train_labels) // 32 * 32
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_digit_is_the_same_as_a_picture():
    for image in data.digits().test_images[:20]:
        header, _, pixels = data.picture(image).partition(b"\n")
        assert header == b"P5 8 8 255"
        assert np.array_equal(np.frombuffer(pixels, np.uint8).reshape(1, 8, 8) / 16, image)


def test_batches_of_lines_hold_each_character_once():
    lines = data.lines()
    batches = list(lines.epoch(32, 1))
    assert sum(int(batch.mask.sum()) for batch in batches) == sum(len(line) + 1 for line in lines.train)
    assert len({batch.inputs.shape[1] for batch in batches}) > 10  # the graph's length is the data's


def test_a_lines_input_is_its_target_one_later():
    lines = data.lines()
    newline = lines.alphabet.index("\n")
    for batch in lines.tests(64):
        assert (batch.inputs[:, 0] == newline).all()
        for inputs, targets, mask in zip(batch.inputs, batch.targets, batch.mask, strict=True):
            length = int(mask.sum())
            assert targets[length - 1] == newline
            assert np.array_equal(inputs[1:length], targets[: length - 1])


def test_the_gate_for_sequence_is_below_what_pairs_of_characters_reach():
    bits = float(gates.load()["sequence"]["bits"])
    assert 2 < bits < data.pair_bits(data.lines())


def test_speeches_are_of_two_plays_and_none_stands_in_both_parts():
    speeches = data.speeches()
    assert len(speeches.train_texts) == len(speeches.train_labels) == 760
    assert len(speeches.test_texts) == len(speeches.test_labels) == 190
    assert set(speeches.train_labels) == set(speeches.test_labels) == {0, 1}
    assert not set(speeches.train_texts) & set(speeches.test_texts)
    speakers = ("ROMEO:", "First Citizen:")  # who speaks would tell the play
    assert not any(name in text for text in speeches.train_texts + speeches.test_texts for name in speakers)


def test_the_gate_for_speeches_is_far_above_naming_the_more_frequent_play():
    labels = data.speeches().test_labels
    chance = max(np.mean(labels == 0), np.mean(labels == 1))
    gate = float(gates.load()["domain"]["torchtext"]["accuracy"])
    assert gate > chance + 5 * math.sqrt(chance * (1 - chance) / len(labels))


def test_the_loaders_sums_are_exact_in_float32():
    assert data.batch_sum(0) < 2**24
    assert data.batch(0).nbytes == 4 * 2**20
    assert data.batch_sum(0) != data.batch_sum(1)
