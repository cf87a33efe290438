"""Edits that take evidence away, of every kind that there is, derived from a certificate and its suite's levels.

Nothing here names a check, a level or an image: what is in the certificate is edited, so a new one enters by itself.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import msgspec

from assay.certificate import RANK, Certificate, Configuration, Policy, Suites, plan_digest, read
from assay.certificate.levels import Expected, ExpectedFault
from assay.certificate.report import Plan
from assay.certificate.suite import Suite
from tests.unit.certificate import reports

Path = tuple[Any, ...]
Change = Callable[[Any], Any]
# What is no number, or none that a real run gives.
NO_VALUES = ("", "nan", "inf", "-inf", "x", "-1", "1e300", "1e999", "1_0", "\u0661", " 1", "+1", "0x1", "01")
RELATIONS = ("<=", "<", ">=", "==")
CLASSES = ("", "f64", "f32", "tf32", "fp16", "bf16", "cpu", "gpu")
REASONS = ("", "  ", "it could not", "no GPU was asked for", "the framework cannot be imported, see imports")


class Edit(NamedTuple):
    """An edit of one kind, on one target, with the certificate that comes of it and the policy to open that by."""

    kind: str
    target: str
    statement: dict[str, Any]
    policy: Policy


@dataclass(frozen=True)
class Base:
    """A certificate that holds, and the three policies that certificates are opened by."""

    name: str
    statement: dict[str, Any]
    suites: Suites

    @cached_property
    def predicate(self) -> dict[str, Any]:
        return dict(self.statement["predicate"])

    @cached_property
    def opened(self) -> Certificate:
        return read(self.statement, self.alone)

    @cached_property
    def now(self) -> datetime.datetime:
        created = datetime.datetime.fromisoformat(self.predicate["timeCreated"])
        return created + datetime.timedelta(days=1)

    @cached_property
    def alone(self) -> Policy:
        """As a certificate in a folder is opened: nothing of its image is at hand."""
        return Policy(self.suites, now=self.now)

    @cached_property
    def published(self) -> Policy:
        """As a published image's is: with the image's digest and its configuration."""
        facts, plan = self.predicate["image"], self.plan
        assert self.opened.suite is not None
        told = {
            "framework": plan["framework"]["name"],
            "backends": ",".join(plan["framework"].get("backends", ())),
            "workloads": ",".join(plan["workloads"]),
            "plan": plan_digest(plan),
            "suite": self.opened.report.suite.sha256,
        }
        promised = {name: told[name] for name in self.opened.suite.levels.promises if name in told}
        labels = {f"assay.{name}": value for name, value in {**plan["labels"], **promised}.items()}
        config = Configuration(facts["configDigest"], tuple(facts["diffIDs"]), facts["platform"], labels)
        digest = "sha256:" + self.statement["subject"][0]["digest"]["sha256"]
        return replace(self.alone, digest=digest, configuration=config, max_age_days=365, derived=self.opened.derived)

    @cached_property
    def of_the_checkout(self) -> Policy:
        """As one is that was made here: with the plan and the inputs of the checkout too."""
        suite = self.opened.suite
        assert suite is not None
        inputs = self.predicate["image"]["inputs"]
        return replace(self.published, suites=Suites(suite), plan=self.plan, inputs=inputs)

    @cached_property
    def plan(self) -> dict[str, Any]:
        return {name: value for name, value in self.predicate["plan"].items() if name != "engine"}


def changed(data: Any, path: Path, change: Change) -> Any:
    """A copy with what lies at a path changed; what does not lie on the path is shared."""
    if not path:
        return change(data)
    copy = dict(data) if isinstance(data, dict) else list(data)
    copy[path[0]] = changed(data[path[0]], path[1:], change)
    return copy


def value(new: Any) -> Change:
    return lambda _: new


def without(at: Any) -> Change:
    return lambda data: (
        {name: one for name, one in data.items() if name != at}
        if isinstance(data, dict)
        else [one for number, one in enumerate(data) if number != at]
    )


def repeated(at: int) -> Change:
    return lambda data: [*data[: at + 1], data[at], *data[at + 1 :]]


def updated(**fields: Any) -> Change:
    return lambda data: {**data, **fields}


def added(one: Any) -> Change:
    return lambda data: [*data, one]


def few(
    several: Iterable[tuple[str, Path, Change]], most: int | None, turn: int
) -> Iterator[tuple[str, Path, Change]]:
    """Of each kind at most some, from one turn to the next others; None: all."""
    kinds: dict[str, list[tuple[str, Path, Change]]] = {}
    for one in several:
        kinds.setdefault(one[0], []).append(one)
    for found in kinds.values():
        count = len(found) if most is None else min(most, len(found))
        yield from (found[(turn * count + at) % len(found)] for at in range(count))


def edits(base: Base, most: int | None = None) -> Iterator[Edit]:
    """The edits of a certificate; with ``most``, of each kind at most so many on one result or fault."""
    suite = base.opened.suite
    assert suite is not None
    held_to = suite.expansion(msgspec.convert(base.plan, type=Plan))
    assert held_to is not None
    expected = {one.id: one for one in held_to.results()}
    put_in = {one.id: one for one in held_to.faults()}
    for at, one in enumerate(base.predicate["results"]):
        path = ("predicate", "results", at)
        for kind, where, change in few(_result_edits(one, path, expected), most, at):
            yield _edit(base, base.published, f"result: {kind}", one["id"], where, change)
    for at, one in enumerate(base.predicate["faults"]):
        path = ("predicate", "faults", at)
        for kind, where, change in few(_fault_edits(one, path, put_in[one["id"]], base), most, at):
            yield _edit(base, base.published, f"fault: {kind}", one["id"], where, change)
    invented = {**base.predicate["results"][0], "id": "P0.anything"}
    yield _edit(base, base.published, "result: invented", "P0.anything", ("predicate", "results"), added(invented))
    for state in ("pass", "fail"):
        more = {**base.predicate["faults"][0], "id": "another", "state": state}
        yield _edit(base, base.published, "fault: invented", "another", ("predicate", "faults"), added(more))
    yield from _of_the_whole(base, suite)
    yield from _of_its_image(base, suite)
    yield from _of_the_plan(base, suite)
    yield from _of_its_labels(base)
    yield from _of_its_base(base) if base.opened.derived else _of_what_is_added(base)


def _edit(base: Base, policy: Policy, kind: str, target: str, path: Path, change: Change) -> Edit:
    return Edit(kind, target, changed(base.statement, path, change), policy)


def _prefixes(identity: str) -> Iterator[str]:
    """Ids that begin as this one does, or that this one begins with."""
    yield from (f"{identity}.x", identity + "x", f"x.{identity}", identity.upper(), "")
    if "." in identity:
        yield from (identity.rpartition(".")[0], identity.partition(".")[2])


def _result_edits(
    one: dict[str, Any], path: Path, expected: dict[str, Expected]
) -> Iterator[tuple[str, Path, Change]]:
    wanted, at = expected[one["id"]], path[-1]
    yield "dropped", path[:-1], without(at)
    yield "repeated", path[:-1], repeated(at)
    yield from (("another id", path, updated(id=name)) for name in _prefixes(one["id"]) if name != one["id"])
    yield "another's id", path, updated(id=next(name for name in expected if name != one["id"]))
    yield "another family", path, updated(family="cost" if one["family"] != "cost" else "static")
    yield "failed", path, updated(state="fail", reason="so it was")
    yield "in error", path, updated(state="error", reason="so it was")
    declared = {each.not_run for each in expected.values() if each.not_run}
    not_run = {"state": "not-run", "metrics": [], "requested": "", "observed": ""}
    for reason in (*REASONS, *sorted(declared)):
        if reason != wanted.not_run:
            yield "not run", path, updated(**not_run, reason=reason)
    if wanted.not_run is not None:
        yield "passed, and cannot", path, updated(state="pass", reason="")
        taken = [{"name": "wrong", "value": "1", "gate": "0", "relation": "<="}]
        yield "not run, and measured", path, updated(metrics=taken)
        yield "not run, and observed", path, updated(observed="f32")
        return
    yield "not run, and measured", path, updated(state="not-run", reason="it could not")
    yield "no metrics", path, updated(metrics=[])
    for name in CLASSES:
        if name != one["requested"]:
            yield "another class", path, updated(requested=name, observed=name)
            yield "another class observed", path, updated(observed=name)
            yield "another class asked for", path, updated(requested=name)
    yield "another device", path, updated(observed=f"{one['observed']} on cuda".strip())
    yield from _metric_edits(
        one,
        path,
        {name: (each.gate, reports.beyond(each) if each.gate else "") for name, each in wanted.metrics.items()},
    )


def _metric_edits(
    one: dict[str, Any], path: Path, wrong: dict[str, tuple[str | None, str]]
) -> Iterator[tuple[str, Path, Change]]:
    """Of each metric, but of what is only on the wrong side where ``wrong`` names it."""
    for number, each in enumerate(one["metrics"]):
        there = (*path, "metrics", number)
        yield "metric dropped", there[:-1], without(number)
        yield "metric repeated", there[:-1], repeated(number)
        yield "metric renamed", there, updated(name=each["name"] + "x")
        for gate in (None, "0", "1e300", "-1e300", "inf", "nan", ""):
            if gate != each["gate"]:
                yield "another gate", there, updated(gate=gate)
        for relation in RELATIONS:
            if relation != each["relation"]:
                yield "another relation", there, updated(relation=relation)
        for text in NO_VALUES:
            yield "no real value", there, updated(value=text)
        gate, text = wrong.get(each["name"], (None, ""))
        if gate is not None:
            yield "on the wrong side", there, updated(value=text)
            yield "on the wrong side, of another gate", there, updated(value=text, gate=text)
    extra = {"name": "more", "value": "0", "gate": None, "relation": "<="}
    yield "a metric more", (*path, "metrics"), added(extra)


def _fault_edits(
    one: dict[str, Any], path: Path, wanted: ExpectedFault, base: Base
) -> Iterator[tuple[str, Path, Change]]:
    at = path[-1]
    yield "dropped", path[:-1], without(at)
    yield "repeated", path[:-1], repeated(at)
    yield from (("another id", path, updated(id=name)) for name in _prefixes(one["id"]) if name != one["id"])
    yield from (("let through", path, updated(state=state)) for state in ("pass", "error", "not-run"))
    for check in dict.fromkeys(each["id"] for each in base.predicate["results"]):
        if check != one["check"]:
            yield "another check", path, updated(check=check)
    held = {"name": "wrong", "value": "1", "gate": "0", "relation": "<="}
    yield "another check and its metrics", path, updated(check="static.contract", metrics=[held])
    yield "no metrics", path, updated(metrics=[])
    yield from _metric_edits(one, path, {})
    for number, each in enumerate(one["metrics"]):
        if each["name"] == wanted.metric:
            right = reports.held(wanted.metrics[wanted.metric])
            yield "within its gate", (*path, "metrics", number), updated(value=right)
    others = [
        {**each, "value": reports.beyond(wanted.metrics[each["name"]])}
        if each["gate"] is not None and each["name"] != wanted.metric
        else {**each, "value": reports.held(wanted.metrics[each["name"]])}
        for each in one["metrics"]
    ]
    yield "caught by other metrics only", (*path, "metrics"), value(others)


def _of_the_whole(base: Base, suite: Suite) -> Iterator[Edit]:
    """Of what a certificate says around its evidence."""
    zeros = "0" * 64

    def one(kind: str, where: Path, change: Change, policy: Policy = base.published) -> Edit:
        return _edit(
            base, policy, f"certificate: {kind}", ".".join(map(str, where[1:])) or str(where[-1]), where, change
        )

    yield one("another type", ("_type",), value("https://in-toto.io/Statement/v0.1"))
    yield one("another type", ("predicateType",), value("https://slsa.dev/provenance/v1"))
    subject = base.statement["subject"][0]
    for name in ("another", subject["name"] + "x", "REGISTRY/" + subject["name"], ""):
        yield one("another image's name", ("subject", 0, "name"), value(name))
    yield one("another image's digest", ("subject", 0, "digest", "sha256"), value(zeros))
    yield one("two images", ("subject",), lambda several: [*several, {**several[0], "name": "another"}])
    yield one("two images", ("subject",), lambda several: [*several, *several])
    yield one("no image", ("subject",), value([]))
    for digest in ("", zeros[1:], zeros + "0", "x" * 64, "A" * 64, zeros + "\n", "\u0661" * 64):
        yield one("no digest", ("subject", 0, "digest", "sha256"), value(digest), base.alone)
    yield one("a mark", ("predicate", "marks"), added("R"))
    asked = replace(base.published, marks=("another",))
    yield Edit("certificate: a mark that it does not bear", "marks", base.statement, asked)
    yield one("two digests", ("subject", 0, "digest"), lambda digest: {**digest, "sha512": zeros * 2})
    name = base.plan["framework"]["name"]
    for field, digests in (
        ("digest", {each.digest_of(name) for each in base.suites.all} - {suite.digest_of(name)}),
        ("gates", {each.gates_digest for each in base.suites.all} - {suite.gates_digest}),
        ("reference", {each.reference for each in base.suites.all} - {suite.reference}),
    ):
        for digest in sorted({*digests, zeros} - {""}):
            yield one("another suite", ("predicate", "suite", field, "sha256"), value(digest))
    reached = RANK[base.opened.verdict.level]
    for level in ("E5", "E6", "", "e2", *(name for name, rank in RANK.items() if rank > reached)):
        yield one("another level", ("predicate", "achieved"), value(level))
    for schema in (0, 2, "1", None, True):
        yield one("another schema", ("predicate", "schema"), value(schema))
    yield one("a part of the plan", ("predicate", "complete"), value(False))
    yield from _of_its_time(base, one)
    for name in ("results", "faults", "host", "plan", "suite", "image"):
        yield one("a part left out", ("predicate",), without(name))


def _of_its_time(base: Base, one: Callable[..., Edit]) -> Iterator[Edit]:
    """Of when it was made: too long ago, in the future, or in words that only some readers take for a time."""
    for moment in ("2099-01-01T00:00:00Z", "2001-01-01T00:00:00Z", "2026-01-01T00:00:00", "", "yesterday"):
        yield one("another time", ("predicate", "timeCreated"), value(moment))
    day = base.predicate["timeCreated"][:10]
    clocks = (" 12:00:00Z", "\n12:00:00Z", "\x1b12:00:00Z", "T12:00Z", "T12:00:60Z", "T24:00:00Z", "T120000Z", "")
    for odd in (*(day + clock for clock in clocks), "2026-W48-4T12:00:00Z", day.replace("-", "") + "T12:00:00Z"):
        yield one("no time", ("predicate", "timeCreated"), value(odd))


def _of_its_image(base: Base, suite: Suite) -> Iterator[Edit]:
    """Of the image that a certificate says it was made of."""
    zeros, facts = "0" * 64, ("predicate", "image")

    def one(kind: str, where: Path, change: Change, policy: Policy = base.published) -> Edit:
        return _edit(base, policy, f"certificate: {kind}", ".".join(map(str, where[1:])), where, change)

    if base.plan["device"] != "cpu":
        nothing: tuple[Any, ...] = ([], [""], [" \t"], [None], [[]], ["", "x"], "", " ", {"x": 1}, 1, True)
        for name, empty in [*(("gpu", one) for one in nothing), *(("driver", one) for one in (None, "", " ", [""]))]:
            yield one("no GPU in the host", ("predicate", "host", name), value(empty))
        yield one("no GPU in the host", ("predicate", "host"), without("gpu"))
    yield one("another configuration", (*facts, "configDigest"), value("sha256:" + zeros))
    yield one("another layer", (*facts, "diffIDs"), lambda ids: [*ids[:-1], "sha256:" + zeros])
    yield one("a layer less", (*facts, "diffIDs"), lambda ids: ids[:-1])
    yield one("another platform", (*facts, "platform"), value("linux/arm64"))
    yield one("other inputs", (*facts, "inputs"), updated(**{"images/x": zeros}), base.of_the_checkout)
    for promise in {"framework", "backends", "workloads", "plan", "suite"} - set(suite.levels.promises):
        assert base.published.configuration is not None
        labels = {**base.published.configuration.labels, f"assay.{promise}": "all"}
        newer = replace(base.published, configuration=replace(base.published.configuration, labels=labels))
        yield Edit("certificate: of a later suite's image", promise, base.statement, newer)
    if "suite" in suite.levels.promises:
        assert base.published.configuration is not None
        labels = {**base.published.configuration.labels, "assay.suite": zeros}
        other = replace(base.published, configuration=replace(base.published.configuration, labels=labels))
        yield Edit("certificate: of an image with another suite", "suite", base.statement, other)
    later = replace(base.of_the_checkout, suites=Suites(msgspec.structs.replace(suite, digests={}), (suite,)))
    yield Edit("certificate: of an earlier suite", "suite", base.statement, later)


def _of_its_labels(base: Base) -> Iterator[Edit]:
    """Of the image itself, whose labels say less, or other, than what was certified."""
    config = base.published.configuration
    assert config is not None
    for name, text in config.labels.items():
        left = {each: word for each, word in config.labels.items() if each != name}
        for kind, labels in (("removed", left), ("changed", {**left, name: text + "9"})):
            if text or kind == "changed":  # a label that says nothing is none
                policy = replace(base.published, configuration=replace(config, labels=labels))
                yield Edit(f"image: a label {kind}", name, base.statement, policy)


def _of_what_is_added(base: Base) -> Iterator[Edit]:
    """Of an image that is no derived one: something was added to it, or it is said to be derived."""
    at = [one["id"] for one in base.predicate["results"]].index("static.packages")
    metrics = base.predicate["results"][at]["metrics"]
    for number, one in enumerate(metrics):
        if one["name"] == "added":
            where = ("predicate", "results", at, "metrics", number, "value")
            yield _edit(base, base.published, "added: counted", "static.packages", where, value("1"))
    for names in ({"einops": "0.8.1"}, ["einops"], "einops"):
        stack = ("predicate", "stack")
        yield _edit(base, base.published, "added: named", "static.packages", stack, updated(added=names))
    below = {"name": base.plan["image"], "digest": "sha256:" + "b" * 64, "level": "E4", "layers": 1}
    derived = {"base": below, "added": {}}
    for policy in (base.alone, base.published):
        yield _edit(base, policy, "added: said to be derived", "", ("predicate",), updated(derived=derived))


def _of_its_base(base: Base) -> Iterator[Edit]:
    """Of a derived image: of the base that it names, and of what it says was added."""
    derived, where = base.predicate["derived"], ("predicate", "derived")

    def one(kind: str, path: Path, change: Change, policy: Policy = base.published) -> Edit:
        return _edit(base, policy, f"derived: {kind}", ".".join(map(str, path[2:])), path, change)

    for policy in (base.alone, base.published):
        yield one("no derived image", ("predicate",), without("derived"), policy)
        yield one("another base's name", (*where, "base", "name"), value("another"), policy)
        yield one("its own base", (*where, "base", "digest"), value("sha256:" + "d" * 64), policy)
        yield one("no base's digest", (*where, "base", "digest"), value("sha256:" + "B" * 64), policy)
        yield one("its base's level lowered", (*where, "base", "level"), value("E1"), policy)
        yield one("no level of its base", (*where, "base", "level"), value("E9"), policy)
        yield one("more layers of its base", (*where, "base", "layers"), value(99), policy)
        for name in derived["added"]:
            yield one("added and hidden", (*where, "added"), without(name), policy)
            yield one("added and hidden in its report", ("predicate", "stack", "added"), without(name), policy)
            yield one("added, of another version", (*where, "added", name), value("0"), policy)
        yield one("added and hidden", (*where, "added"), value({}), policy)
        yield one("more added", (*where, "added"), updated(another="1"), policy)
    yield one("another base's digest", (*where, "base", "digest"), value("sha256:" + "e" * 64))
    yield one("its base's level raised", (*where, "base", "level"), value("E4"))
    yield one("more layers of its base", (*where, "base", "layers"), value(2))
    for name in derived["added"]:
        yield _hidden_everywhere(base, name)


def _hidden_everywhere(base: Base, name: str) -> Edit:
    """What was added is gone from all that is said: only the image's layers tell."""
    left = {each: version for each, version in base.predicate["derived"]["added"].items() if each != name}
    at = [one["id"] for one in base.predicate["results"]].index("static.packages")
    metrics = base.predicate["results"][at]["metrics"]
    number = [one["name"] for one in metrics].index("added")
    made = changed(base.statement, ("predicate", "derived", "added"), value(left))
    made = changed(made, ("predicate", "stack", "added"), value(left))
    made = changed(made, ("predicate", "results", at, "metrics", number, "value"), value(str(len(left))))
    return Edit("derived: added and hidden everywhere", name, made, base.published)


def _of_the_plan(base: Base, suite: Suite) -> Iterator[Edit]:
    """Of what the plan promises: alone, where the image's labels are at hand, and with all evidence to fit."""
    plan, where = base.plan, ("predicate", "plan")

    def one(kind: str, path: Path, change: Change, policy: Policy = base.published) -> Edit:
        return _edit(base, policy, f"plan: {kind}", ".".join(map(str, path[2:])), path, change)

    other = "gpu" if plan["device"] == "cpu" else "cpu"
    for policy in (base.alone, base.published):
        yield one("another device", (*where, "device"), value(other), policy)
        yield one("no device", (*where, "device"), value("tpu"), policy)
        yield one("another image", (*where, "image"), value("another"), policy)
        for name in suite.frameworks:
            if name != plan["framework"]["name"]:
                yield one("another framework", (*where, "framework", "name"), value(name), policy)
        yield one("another framework", (*where, "framework", "name"), value("another"), policy)
        backends = plan["framework"].get("backends", [])
        for changed_to in (
            ["another"],
            ["an,other"],
            [*backends, "another"],
            [*backends, *backends] or None,
            backends[1:] or None,
        ):
            if changed_to is not None and changed_to != backends:
                yield one("other backends", (*where, "framework"), updated(backends=changed_to), policy)
        for at in range(len(plan["workloads"])):
            yield one("a workload less", (*where, "workloads"), without(at), policy)
        yield one("a workload twice", (*where, "workloads"), repeated(0), policy)
        yield one("an unknown workload", (*where, "workloads"), lambda several: [*several, "another"], policy)
    yield from _of_the_names(base, suite, one)
    yield from _of_the_labels(base, suite, one)
    yield from _with_all_evidence(base, suite, one)
    for policy in (base.of_the_checkout, *((base.published,) if "plan" in suite.levels.promises else ())):
        for name in list(plan["packages"])[:8]:
            yield one("a package less", (*where, "packages"), without(name), policy)
            yield one("another version", (*where, "packages", name), value("0"), policy)
        yield one("less time", (*where, "seconds_per_check"), value(1), policy)
        yield one("another module", (*where, "framework", "module"), value("math"), policy)


def _of_the_names(base: Base, suite: Suite, one: Callable[..., Edit]) -> Iterator[Edit]:
    """Of names that are none, or read as another's, wherever they stand and with all evidence to fit."""
    plan, where = base.plan, ("predicate", "plan")
    for name in ("p\u0443torch", "X", "a b", "a\nb", "$(x)", "a;b", "../a", "-a", "a/", "\x1b[2J"):  # a Cyrillic y
        renamed = changed(base.statement, ("subject", 0, "name"), value(name))
        renamed = changed(renamed, (*where, "image"), value(name))
        yield Edit("plan: no image's name, everywhere", name, renamed, base.alone)
    for word in ("an,other", "j\u0430x", "a b", "1"):  # a Cyrillic a
        odd = {"framework": {**plan["framework"], "backends": [word]}}
        yield one("no backend's name, with its evidence", (), _smaller(base, suite, **odd), base.alone)


def _of_the_labels(base: Base, suite: Suite, one: Callable[..., Edit]) -> Iterator[Edit]:
    """Of what the image promises, alone and with all evidence to fit: its own labels tell."""
    plan, where = base.plan, ("predicate", "plan")
    for name, text in plan["labels"].items():
        yield one("a label less", (*where, "labels"), without(name))
        yield one("another label", (*where, "labels", name), value(text + "9"))
        yield one("another label, with its evidence", (), _smaller(base, suite, labels={**plan["labels"], name: ""}))
        less = {each: word for each, word in plan["labels"].items() if each != name}
        yield one("a label less, with its evidence", (), _smaller(base, suite, labels=less))
    yield one("a label more", (*where, "labels"), updated(more="1"))


def _with_all_evidence(base: Base, suite: Suite, one: Callable[..., Edit]) -> Iterator[Edit]:
    """A plan that asks for less, and just the evidence that it asks for: only the image can tell.

    An image tells what its suite's levels say that it promises; of the checkout's plan, all is told.
    """
    plan = base.plan
    for promise, field in (("workloads", "workloads"), ("backends", "backends")):
        policies = [base.of_the_checkout, *([base.published] if promise in suite.levels.promises else [])]
        words = plan["framework"].get("backends", []) if field == "backends" else plan["workloads"]
        for word in words:
            left = [each for each in words if each != word]
            smaller = {"framework": {**plan["framework"], "backends": left}} if field == "backends" else {field: left}
            if left:
                for policy in policies:
                    yield one(f"{field} less, with their evidence", (), _smaller(base, suite, **smaller), policy)


def _smaller(base: Base, suite: Suite, **fields: Any) -> Change:
    """The certificate of a plan that asks for less: of the evidence what is asked for, and not run what is not."""
    plan = {**base.plan, **fields}
    held_to = suite.expansion(msgspec.convert(plan, type=Plan))
    assert held_to is not None
    found = {one["id"]: one for one in base.predicate["results"]}
    faults = {one["id"]: one for one in base.predicate["faults"]}
    whole = reports.written(plan, suite)
    fit = {one["id"]: one for one in (*whole["results"], *whole["faults"])}
    results = [
        found[each.id] if each.id in found and each.not_run is None else fit[each.id] for each in held_to.results()
    ]
    kept = [faults.get(each.id, fit[each.id]) for each in held_to.faults()]
    return lambda statement: changed(
        statement, ("predicate",), updated(plan={**plan, "engine": "docker"}, results=results, faults=kept)
    )
