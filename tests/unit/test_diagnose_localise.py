"""Fault localisation on planted rules: what is found, what cannot be told apart, what is not claimed."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmcp.diagnose.features import Version, features_of
from rmcp.diagnose.localise import Effort, localise, rule_text
from rmcp.diagnose.predicates import Atom, Op, offered
from rmcp.diagnose.probe import Budget, explore
from rmcp.diagnose.space import Evidence, Space, Tally, bits, mask_of, weight

AXES = ("rocm", "env", "h", "c")


def cells():
    made = []
    for rocm, env, size, channels in itertools.product(
        ("5.2", "5.10", "6.0", "6.2"), ("stock", "no-sdma", "off"), (7, 28, 43, 56), (3, 16, 20, 64)
    ):
        axes = {"rocm": rocm, "env": env, "h": str(size), "c": str(channels)}
        args = {"n": 1, "c": channels, "h": size, "w": size, "k": 16, "kernel": 3}
        made.append(features_of(axes, args))
    return made


SPACE = Space(cells(), AXES)


def tallies(inside, attempts=1):
    return {i: Tally(attempts, 0) if inside(f) else Tally(0, attempts) for i, f in enumerate(SPACE.cells)}


RULES = {
    "one axis value": lambda f: f["env"] == "stock",
    "a version threshold": lambda f: f["rocm"] >= Version.parse("5.10") and f["env"] != "off",
    "an area and a residue": lambda f: f["h*w"] >= 1849 and f["c"] % 8 != 0,
    "four terms": lambda f: f["rocm"] >= Version.parse("6.0") and f["env"] == "stock" and f["h"] >= 43 and f["c"] < 20,
}


@pytest.mark.parametrize("name", RULES)
def test_planted_rule_is_found_exactly(name):
    answer = localise(SPACE, tallies(RULES[name]))
    wanted = mask_of(i for i, f in enumerate(SPACE.cells) if RULES[name](f))
    assert len(answer.findings) == 1
    finding = answer.findings[0]
    assert finding.hypothesis.mask == wanted
    assert (finding.counts.covered, finding.counts.contradicted) == (wanted.bit_count(), 0)
    assert finding.counts.failing == wanted.bit_count()
    assert finding.significant
    assert not answer.unexplained


def test_versions_are_ordered_by_number_not_by_text():
    answer = localise(SPACE, tallies(RULES["a version threshold"]))
    assert "rocm >= 5.10" in rule_text(SPACE, answer.findings[0].hypothesis) or "rocm != 5.2" in rule_text(
        SPACE, answer.findings[0].hypothesis
    )


def test_two_disjoint_causes_of_one_signature_are_two_rules():
    def either(f):
        return (f["env"] == "off" and f["c"] == 3) or (f["h"] == 56 and f["env"] == "stock")

    answer = localise(SPACE, tallies(either))
    union = 0
    for finding in answer.findings:
        union |= finding.hypothesis.mask
    assert len(answer.findings) == 2
    assert union == mask_of(i for i, f in enumerate(SPACE.cells) if either(f))


def test_noise_alone_is_no_finding_that_counts():
    rng = random.Random(3)
    noise = {i: Tally(1, 0) if rng.random() < 0.05 else Tally(0, 1) for i in range(len(SPACE.cells))}
    assert not any(finding.significant for finding in localise(SPACE, noise).findings)


def test_nothing_failed():
    assert localise(SPACE, tallies(lambda f: False)).findings == ()


def test_everything_failed_is_always():
    answer = localise(SPACE, tallies(lambda f: True))
    assert rule_text(SPACE, answer.findings[0].hypothesis) == "always"
    assert not answer.findings[0].significant


def test_cells_of_another_signature_say_nothing():
    known = tallies(RULES["one axis value"])
    hidden = {i for i, f in enumerate(SPACE.cells) if f["env"] == "stock" and f["h"] == 56}
    answer = localise(SPACE, {i: t for i, t in known.items() if i not in hidden}, hidden)
    assert answer.findings[0].hypothesis.mask == mask_of(i for i, t in known.items() if t.failed)
    assert answer.findings[0].counts.masked == len(hidden)


def test_what_the_data_cannot_tell_apart_is_a_set():
    sample = [i for i, f in enumerate(SPACE.cells) if f["env"] == "stock" or f["rocm"] != Version.parse("6.2")]
    inside = RULES["one axis value"]
    known = {i: t for i, t in tallies(inside).items() if i in sample and SPACE.cells[i]["rocm"] >= Version.parse("6.2")}
    known |= {i: t for i, t in tallies(inside).items() if SPACE.cells[i]["env"] == "off" and i in sample}
    finding = localise(SPACE, known).findings[0]
    masks = {h.mask for h in (finding.hypothesis, *finding.rivals)}
    assert mask_of(i for i, f in enumerate(SPACE.cells) if inside(f)) in masks
    assert len(masks) > 1
    seen = Evidence(known).known
    assert len({mask & seen for mask in masks}) == 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_counts_agree_with_a_recount_on_any_data(data):
    known = {i: Tally(k, n) for i, (k, n) in enumerate(data)}
    answer = localise(SPACE, known, effort=Effort(beam=10, leaders=3))
    for finding in answer.findings:
        inside = bits(finding.hypothesis.mask)
        assert len(finding.hypothesis.terms) <= 4
        assert finding.counts.failing == sum(1 for t in known.values() if t.failed)
        assert finding.log10_p <= 1e-9
        assert finding.log10_corrected >= finding.log10_p
        held = [
            i
            for i in range(len(SPACE.cells))
            if all(SPACE.atoms[t].holds(SPACE.cells[i]) for t in finding.hypothesis.terms)
        ]
        assert held == inside


@given(st.integers(0, 6), st.integers(0, 6))
def test_weight_is_antisymmetric_and_flaky_weighs_nothing(k, n):
    assert weight(Tally(k, n)) == pytest.approx(-weight(Tally(n, k)))
    assert weight(Tally(n, n)) == pytest.approx(0)
    assert weight(Tally(3, 0)) > weight(Tally(1, 0)) > 0


@given(st.lists(st.integers(0, 500), unique=True))
def test_masks_round_trip(indices):
    assert bits(mask_of(indices)) == sorted(indices)


def test_a_case_without_a_feature_has_neither_side_of_it():
    atom = Atom("h", Op.NE, 7)
    assert not atom.holds({})
    assert not Atom("h", Op.LT, 7).holds({"h": "seven"})


@pytest.mark.parametrize(
    ("feature", "text"),
    [("is_1x1", "is_1x1"), ("h*w", "h*w >= 1849"), ("c", "c % 8 != 0"), ("rocm", "rocm >= 5.10")],
)
def test_predicates_that_users_expect_are_offered(feature, text):
    more = [*SPACE.cells, features_of({}, {"n": 1, "c": 4, "h": 9, "w": 9, "k": 16, "kernel": 1})]
    assert text in {atom.text() for atom in offered(more, AXES) if atom.feature == feature}


def test_probing_finds_the_exact_rule_and_settles():
    inside = RULES["an area and a residue"]
    rng = random.Random(5)
    sample = rng.sample(range(len(SPACE.cells)), 30)
    known = {i: t for i, t in tallies(inside).items() if i in sample}
    assert any(t.failed for t in known.values())
    truth = tallies(inside)
    answer = explore(SPACE, known, (), lambda cell: (truth[cell], False), Budget(probes=40))
    assert answer.settled
    assert answer.finding is not None
    assert answer.finding.hypothesis.mask == mask_of(i for i, t in truth.items() if t.failed)
    assert answer.confirmations >= 3
    assert answer.refutations >= 3
    assert len({p.cell for p in answer.probes} & set(sample)) == 0


def test_probing_stops_at_its_budget():
    truth = tallies(RULES["four terms"])
    known = {i: t for i, t in truth.items() if (t.failed and i % 2) or i % 37 == 0}
    answer = explore(SPACE, known, (), lambda cell: (truth[cell], False), Budget(probes=2))
    assert len(answer.probes) <= 2
    assert not answer.settled
    spent = explore(SPACE, known, (), lambda cell: (truth[cell], False), Budget(probes=40, seconds=1.5))
    assert len(spent.probes) <= 1


def test_probing_without_a_failure_says_so():
    answer = explore(SPACE, {0: Tally(0, 1)}, (), lambda cell: (Tally(0, 1), False))
    assert answer.finding is None
    assert "nothing fails" in answer.stopped


def test_probing_stops_when_cells_give_no_verdict():
    truth = tallies(RULES["four terms"])
    known = {i: t for i, t in truth.items() if (t.failed and i % 2) or i % 37 == 0}
    answer = explore(SPACE, known, (), lambda cell: (Tally(), False), Budget(probes=40))
    assert len(answer.probes) == 4
    assert "no verdict" in answer.stopped
