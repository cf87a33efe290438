"""What is said of results: words for a cell, and sentences that follow from several."""

from __future__ import annotations

import pytest

from assay.compare import Answer
from assay.site import told
from assay.site.told import Ask
from tests.unit.site.known import comparison, fact, timed

COUNTS = Ask(question="graphs", lead="Programs that run", count={"way": "as written"}, without="-compiled")
OF_CAFFE = Ask(question="speed", framework="caffe", thing="A step", less="faster", more="slower")


@pytest.mark.parametrize(
    ("answer", "says", "degree"),
    [
        (fact("graphs", "tree", "torch", values={"way": "as written"}), "as written", "whole"),
        (fact("graphs", "tree", "torch", values={"way": "rewritten"}), "rewritten", "half"),
        (fact("debugging", "nan", "torch", values={"raised": True, "names_line": True}), "names the line", "whole"),
        (fact("debugging", "nan", "torch", values={"raised": True, "shows_line": False}), "elsewhere", "half"),
        (fact("debugging", "nan", "torch", values={"raised": False, "harmless": False}), "silent", "none"),
        (fact("debugging", "nan", "torch", values={"raised": False, "harmless": True}), "harmless", "whole"),
        (fact("flexibility", "own", "torch", lines=12), "12 lines", "whole"),
        (fact("modules", "layers", "torch", values={"ran": 90, "found": 100}), "90 of 100", "whole"),
        (fact("modules", "transforms", "torch", values={"equal": ["flip"]}), "equal: 1", "whole"),
        (fact("languages", "others", "mxnet", values={"R": 2, "Go": 1}, lines=3), "languages: 2", "whole"),
        (fact("languages", "c", "mxnet", values={"alone": True}, lines=30), "30 lines", "whole"),
        (fact("languages", "c", "jax", values={"alone": False}, lines=30), "called, 30 lines", "half"),
        (fact("cost", "licences", "jax", values={"licences": ["MIT: 2"]}, lines=0), "licences: 1", "whole"),
        (fact("cost", "disk", "torch", values={"bytes": 2_500_000_000}), "2.50 GB", "whole"),
        (fact("cost", "import", "torch", values={"seconds": 0.0421}), "42.1 ms", "whole"),
        (fact("of-nobody", "x", "torch"), "done", "whole"),
        (fact("graphs", "tree", "caffe", "cannot", because="its nets are fixed"), "cannot", "none"),
        (fact("graphs", "tree", "caffe", "failed", because="signal 11"), "failed", "failed"),
        (Answer("graphs", "tree", "caffe", "not measured", "it crashed"), "not measured", "unknown"),
    ],
)
def test_a_cell_in_a_few_words(answer: Answer, says: str, degree: str) -> None:
    assert told.words(answer) == told.Words(says, degree)


def test_cells_are_counted_for_each_framework_in_the_order_of_every_page() -> None:
    found = comparison(
        fact("graphs", "tree", "jax", values={"way": "rewritten"}),
        fact("graphs", "until", "jax", values={"way": "as written"}),
        fact("graphs", "until-compiled", "jax", values={"way": "as written"}),
        fact("graphs", "tree", "torch", values={"way": "as written"}),
        fact("graphs", "until", "torch", values={"way": "as written"}),
        fact("graphs", "tree", "caffe", "cannot", because="its nets are fixed"),
        Answer("graphs", "until", "caffe", "not measured", "it crashed"),
    )
    assert told.sentence(COUNTS, found) == "Programs that run: PyTorch 2 of 2, JAX 1 of 2, Caffe 0 of 1."


def test_a_framework_that_was_not_measured_is_named_as_that() -> None:
    found = comparison(fact("flexibility", "own", "torch"))
    ask = Ask(question="flexibility", lead="Tasks", frameworks=("torch", "keras"))
    assert told.sentence(ask, found) == "Tasks: PyTorch 1 of 1, Keras not measured yet."


def test_cells_count_among_those_that_can_be_asked() -> None:
    ask = Ask(question="debugging", lead="Named", count={"raised": True}, among={"possible": True})
    found = comparison(
        fact("debugging", "nan", "torch", values={"possible": True, "raised": True}),
        fact("debugging", "two-devices", "torch", values={"possible": False}),
        fact("debugging", "in-place", "torch", "cannot", because="nothing changes in place"),
    )
    assert told.sentence(ask, found) == "Named: PyTorch 1 of 1."


def test_values_are_added_up() -> None:
    answers = [fact("modules", cell, "torch", values={"ran": 600, "found": 700}) for cell in ("layers", "losses")]
    ask = Ask(question="modules", lead="Ran", sum="ran", cells=("layers", "losses"))
    assert told.sentence(ask, comparison(*answers)) == "Ran: PyTorch 1,200."


def test_ratios_are_counted_with_the_farthest_two() -> None:
    found = comparison(
        timed("speed", "mlp/1/written", "caffe", 0.5),
        timed("speed", "mlp/32/written", "caffe", 1.01, "no difference shown"),
        timed("speed", "cnn/1/written", "caffe", 12.34),
        timed("speed", "cnn/1/tuned", "caffe", 99.0),
        timed("speed", "cnn/1/written", "jax", 77.0),
    )
    assert told.sentence(OF_CAFFE, found) == (
        "A step of Caffe, as written, against PyTorch's: shown faster in 1 and slower in 1 of 3 cells; "
        "the ratios go from 0.50 (0.49 to 0.51) to 12.3 (12.1 to 12.6)."
    )


def test_nothing_is_said_without_results() -> None:
    nothing = comparison(Answer("graphs", "tree", "torch", "not measured"))
    assert told.sentence(COUNTS, nothing) == ""
    assert told.sentence(COUNTS, comparison()) == ""
    cannot = comparison(fact("speed", "mlp/1/written", "caffe", "failed", because="signal 11"))
    assert told.sentence(OF_CAFFE, cannot) == "A step of Caffe: not measured yet."


def test_what_ratios_show_by_verdict() -> None:
    answers = {
        "JAX": timed("speed", "a/1", "jax", 0.5),
        "Keras": timed("speed", "a/1", "keras", 2.0),
        "MXNet": timed("speed", "a/1", "mxnet", 1.0, "no difference shown"),
        "Theano": timed("speed", "a/1", "theano", 1.5, "unstable"),
    }
    shown = told.by_verdict(((name, one.ratios["steps"]) for name, one in answers.items()), "faster", "slower")
    assert shown == [
        ("Shown faster", "JAX 0.50 (0.49 to 0.51)"),
        ("Shown slower", "Keras 2.00 (1.96 to 2.04)"),
        ("No difference shown", "MXNet 1.00 (0.98 to 1.02)"),
        ("Unstable", "Theano 1.50 (1.47 to 1.53)"),
    ]


def test_each_claim_has_an_answer_and_each_answer_a_question() -> None:
    for claim in told.claims():
        assert claim.answer, claim.text
        for ask in claim.answer:
            assert ask.question in told.tellings(), claim.text
            assert bool(ask.lead) != bool(ask.framework), claim.text
