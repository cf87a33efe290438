"""Certify images on a cluster: submit what is not there, wait, and judge each answer as on one machine.

The cluster places, retries and bounds the jobs. An interrupt cancels them; what had finished by then, and what went
on while no host waited, the next run collects.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Protocol

from assay.catalog import Catalog, read_images
from assay.catalog.built import select_built, together
from assay.certificate import Suites
from assay.certify import Asked, Options, Outcome, ask
from assay.cluster import slurm
from assay.cluster.answers import answer_of, ended
from assay.cluster.images import ensure, named, reference_of
from assay.cluster.judge import judged
from assay.cluster.place import Place
from assay.cluster.slurm import GONE, State
from assay.cluster.tasks import Run, earlier, key_of, prepare
from assay.errors import AssayError, CertificateFailed, EngineMissing, of_image
from assay.host import files

PAUSES = (1.0, 1.0, 2.0, 2.0, 3.0, 5.0, 10.0)  # between two looks, in seconds; the last one again and again
GRACE = 20.0  # after a job's end, for a shared folder to show its answer
PATIENCE = 300.0  # with a controller that does not answer


class View(Protocol):
    """Who is told how it goes."""

    def state(self, name: str, text: str) -> None:
        """What becomes of an image just now."""

    def done(self, outcome: Outcome) -> None:
        """What came of an image."""


@dataclass
class Flight:
    """A run whose tasks are waited for: what is asked in each, and since when it waits, or has ended unanswered."""

    run: Run
    asked: dict[int, Asked]
    waiting: dict[int, float] = field(default_factory=dict)
    over: dict[int, float] = field(default_factory=dict)


def certify(cat: Catalog, names: Iterable[str], options: Options, place: Place, view: View) -> list[Outcome]:
    """Certify the named images (none: all that are built) on a Slurm; returns what came of each, in their order.

    Raises `EngineMissing` where there is no Slurm, and `UsageError` for a job that it does not take.
    """
    chosen = together(select_built(cat, names, read_images(cat.root).images))
    place.shared.mkdir(parents=True, exist_ok=True)
    with files.locked(place.shared / ".lock", "another command that certifies on this cluster", _tell(view)):
        slurm.version()  # before anything is sent to a registry for it
        watch = _Watch(cat, options, place, view, Suites.read(cat.root))
        watch.all([image.name for image in chosen])
        return [watch.outcomes[image.name] for image in chosen]


def _tell(view: View) -> files.Tell:
    return lambda text: view.state("cluster", text)


@dataclass
class _Watch:
    """One command's work: outcomes by image, and what is still in flight."""

    catalog: Catalog
    options: Options
    place: Place
    view: View
    suites: Suites
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    flights: list[Flight] = field(default_factory=list)

    def all(self, names: Sequence[str]) -> None:
        wanted = {name: asked for name in names if (asked := self._asked(name))}
        try:
            left = self._adopted(wanted)
            there = [asked for asked in left if self._is_there(asked)]
            if there:
                self.flights.append(self._submitted(there))
            self._wait()
        except BaseException:
            with contextlib.suppress(AssayError):
                for flight in self.flights:
                    slurm.cancel(flight.run.job, flight.asked)
            raise

    def _done(self, name: str, outcome: Outcome) -> None:
        self.outcomes[name] = outcome
        self.view.done(outcome)

    def _failed(self, name: str, error: Exception) -> None:
        self._done(name, Outcome(name, self.options.device, error=of_image(name, error)))

    def _asked(self, name: str) -> Asked | None:
        """What is asked of an image; None where its outcome is known already."""
        try:
            asked = ask(self.catalog, self.catalog.get(name), self.suites, self.options)
            kept = asked.kept()
        except Exception as error:
            self._failed(name, error)
            return None
        if kept:
            self._done(name, kept)
        return None if kept else asked

    def _is_there(self, asked: Asked) -> bool:
        """Whether the registry has the image, after it was sent there if need be."""
        name = asked.image.name
        try:
            ensure(self.catalog, asked, self.place.registry, self.view.state, plain_http=self.place.plain_http)
        except Exception as error:
            self._failed(name, error)
            return False
        return True

    def _adopted(self, wanted: dict[str, Asked]) -> list[Asked]:
        """Take over what an earlier command submitted for these images; returns those that are to be submitted.

        What is no more wanted of them is cancelled.
        """
        left = dict(wanted)
        for run in earlier(self.place.shared):
            flight = Flight(run, {})
            states = slurm.states(run.job) if run.job else {}
            for index, task in run.tasks.items():
                asked = left.get(task.image)
                if asked is None or task.device != self.options.device:
                    continue
                state = states.get(index, GONE)
                answered = any(run.place(index).glob("answer.*"))
                if not self.options.again and task.key == key_of(asked) and (answered or state.lives):
                    flight.asked[index] = left.pop(task.image)
                elif run.job:
                    slurm.cancel(run.job, [index])
                    run.collected(index)
            if flight.asked:
                self.flights.append(flight)
        return list(left.values())

    def _submitted(self, wanted: list[Asked]) -> Flight:
        run = prepare(self.place.shared, named(wanted, self.place.registry), plain_http=self.place.plain_http)
        try:
            job = slurm.submit(slurm.script(run, self.place.wishes), run.folder)
        except BaseException:
            files.remove(run.folder)
            raise
        run = Run(run.folder, job, run.nonce, run.tasks)
        run.write()
        return Flight(run, dict(enumerate(wanted)))

    def _wait(self) -> None:
        looks, answered = 0, monotonic()
        while any(flight.asked for flight in self.flights):
            for flight in self.flights:
                try:
                    states = slurm.states(flight.run.job) if flight.run.job else {}
                except EngineMissing:
                    if monotonic() - answered > PATIENCE:
                        raise
                    continue
                answered = monotonic()
                self._look(flight, states)
            if any(flight.asked for flight in self.flights):
                sleep(PAUSES[min(looks, len(PAUSES) - 1)])
            looks += 1

    def _look(self, flight: Flight, states: dict[int, State]) -> None:
        for index, asked in list(flight.asked.items()):
            state = states.get(index, GONE)
            name = asked.image.name
            if state.lives:
                self.view.state(name, str(state))
            try:
                outcome = self._outcome(flight, index, state)
            except Exception as error:
                outcome = Outcome(name, self.options.device, error=of_image(name, error))
            if outcome:
                del flight.asked[index]
                self._done(name, outcome)
                flight.run.collected(index)

    def _outcome(self, flight: Flight, index: int, state: State) -> Outcome | None:
        """What came of a task; None while that is open. Raises what went wrong with it."""
        now, task = monotonic(), flight.run.tasks[index]
        if state.lives:
            flight.over.pop(index, None)
            if not state.waits:
                flight.waiting.pop(index, None)
            elif now - flight.waiting.setdefault(index, now) > self.place.start_within:
                slurm.cancel(flight.run.job, [index])
                raise CertificateFailed(
                    f"{task.image}: Slurm did not start it in {self.place.start_within / 60:.0f} minutes: {state}",
                    "`squeue --start` says when it would; wait longer with --start-within, or ask for less.",
                )
            return None
        answer = answer_of(flight.run, index, state)
        if answer:
            asked = flight.asked[index]
            return judged(asked, answer, str(reference_of(self.place.registry, asked)), slurm.version())
        if now - flight.over.setdefault(index, now) < GRACE:
            return None
        raise ended(task, state, flight.run.place(index) / "slurm.log")
