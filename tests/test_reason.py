"""The sentence that goes with a verdict, word by word, and the order of the rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastgrad._assessment import Assessment
from fastgrad._judge.verdict import VERDICTS, Flag, Verdict
from fastgrad._reason import detectable_share, give_reason, is_between, overall_verdict, worst_first

RIGHT, WRONG, OPEN = Verdict.MATCH, Verdict.MISMATCH, Verdict.INCONCLUSIVE


def assessment(verdicts, estimate=1.0, bar=1e-9, **changes):
    """A judgement of components that all look alike, unless told otherwise."""
    n = len(verdicts)
    flags = changes.pop("flags", 0)
    fields = {
        "step": np.full(n, 1e-5),
        "scale": np.ones(n),
        "noise": 1e-16,
        "rtol": 1e-5,
        "seen": np.ones(n, dtype=bool),
        **changes,
    }
    return Assessment(
        verdict=np.array([VERDICTS.index(verdict) for verdict in verdicts], dtype=np.int8),
        estimate=np.broadcast_to(np.asarray(estimate, float), n).copy(),
        bar=np.broadcast_to(np.asarray(bar, float), n).copy(),
        flags=np.broadcast_to(np.array(flags, dtype=np.uint16), n).copy(),
        **fields,
    )


def reason(found, analytical=1.0, value=1.0, repeat_difference=0.0):
    analytical = np.broadcast_to(np.asarray(analytical, float), found.verdict.size)
    return give_reason(found, analytical, value, repeat_difference, lambda i: f"x[{i}]")


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([RIGHT], RIGHT),
        ([RIGHT, RIGHT], RIGHT),
        ([RIGHT, OPEN], OPEN),
        ([OPEN, OPEN], OPEN),
        ([RIGHT, WRONG, OPEN], WRONG),
        ([WRONG], WRONG),
    ],
)
def test_overall_verdict(verdicts, expected):
    assert overall_verdict(assessment(verdicts)) is expected


# ----------------------------------------------------------------------------------------------------------- match


@pytest.mark.parametrize(
    ("found", "repeat_difference", "text"),
    [
        (assessment([RIGHT]), 0.0, "the only component agrees within 1e-05"),
        (assessment([RIGHT] * 3), 0.0, "all 3 components agree within 1e-05"),
        (
            assessment([RIGHT] * 3, flags=[Flag.ABSOLUTE, Flag.PLAIN, Flag.ABSOLUTE | Flag.PLAIN], rtol=1e-3),
            0.0,
            "all 3 components agree within 0.001, 2 of them too small to be resolved and seen to be small",
        ),
        (
            assessment([RIGHT] * 3, flags=[Flag.ONE_SIDED, 0, 0]),
            0.0,
            "all 3 components agree within 1e-05; 1 checked from one side only",
        ),
        (
            assessment([RIGHT] * 3),
            3e-13,
            "all 3 components agree within 1e-05 (f is not deterministic: two calls at x differ by 3e-13, which the "
            "bars allow for)",
        ),
    ],
)
def test_reasons_of_a_match(found, repeat_difference, text):
    assert reason(found, repeat_difference=repeat_difference) == text


# -------------------------------------------------------------------------------------------------------- mismatch


@pytest.mark.parametrize(
    ("found", "analytical", "text"),
    [
        (
            assessment([RIGHT, WRONG, RIGHT], estimate=0.24, bar=3e-9),
            [0.24, 0.48, 0.24],
            "1 of 3 components differs by more than its error bar; worst x[1]: analytical 0.48, "
            "numerical 0.24 +- 3e-09",
        ),
        (
            assessment([WRONG]),
            -1.0,
            "1 of 1 component differs by more than its error bar; worst x[0]: analytical -1, numerical 1 +- 1e-09",
        ),
        (
            assessment([WRONG, WRONG, OPEN]),
            [3.0, 2.0, 9.0],
            "2 of 3 components differ by more than their error bar; worst x[0]: analytical 3, numerical 1 +- 1e-09",
        ),
        (
            assessment([WRONG, OPEN, OPEN], flags=[0, Flag.UNCONFIRMED, Flag.UNCONFIRMED]),
            2.0,
            "1 of 3 components differs by more than its error bar (2 more were left open by first "
            "differences and not looked at closely); "
            "worst x[0]: analytical 2, numerical 1 +- 1e-09",
        ),
        (assessment([RIGHT, WRONG]), [1.0, math.nan], "the analytical gradient is nan at x[1]"),
        (
            assessment([WRONG, RIGHT, WRONG]),
            [-math.inf, 1.0, math.nan],
            "the analytical gradient is -inf at x[0] and not finite at 1 more",
        ),
        (
            assessment([WRONG, WRONG, WRONG]),
            [2.0, 2.0, math.nan],
            "the analytical gradient is nan at x[2]; 2 other components wrong as well",
        ),
        (
            assessment([WRONG, WRONG]),
            [2.0, math.nan],
            "the analytical gradient is nan at x[1]; 1 other component wrong as well",
        ),
    ],
)
def test_reasons_of_a_mismatch(found, analytical, text):
    assert reason(found, analytical) == text


def test_a_gradient_that_is_not_finite_is_wrong_even_where_f_is_not():
    assert reason(assessment([WRONG, OPEN]), [math.nan, 1.0], math.nan) == "the analytical gradient is nan at x[0]"


# ----------------------------------------------------------------------------------------------------------- doubt


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_f_not_finite_at_x(value):
    found = assessment([OPEN], estimate=math.nan, bar=math.inf)
    assert reason(found, value=value) == f"f(x) is {value}: there is nothing to differentiate; check at another x"


def test_an_f_that_does_not_repeat_itself_is_named():
    text = reason(assessment([OPEN, RIGHT, OPEN], bar=1.0), repeat_difference=2e-6)
    assert text == (
        "f is not deterministic: two calls at x differ by 2e-06, which hides the gradient at 2 of 3 components; "
        "fix the seed of its random numbers"
    )


def test_a_stationary_point_is_named():
    text = "x is a stationary point: both gradients vanish within the error bars, so any would; check elsewhere"
    assert reason(assessment([OPEN] * 3, estimate=1e-12), 0.0) == text
    assert reason(assessment([OPEN] * 3, estimate=1e-12), -3e-12) == text
    assert reason(assessment([OPEN] * 3, estimate=1e-12), 0.0, value=0.0) == text
    # One component that is seen, on either side, and it is none.
    assert text not in reason(assessment([OPEN] * 3, estimate=1e-12), [0.0, 0.0, 1.0])
    assert text not in reason(assessment([OPEN] * 3, estimate=[0.0, 0.0, 1.0]), 0.0)
    assert text not in reason(assessment([OPEN] * 3, estimate=[0.0, 0.0, math.nan], bar=[1e-9, 1e-9, math.inf]), 0.0)


def test_wide_bars_are_no_stationary_point():
    """A kink, or coarse noise, hides any gradient; the reason is that, and not x."""
    kinked = assessment([OPEN], estimate=0.0, bar=2.4, flags=Flag.KINK, slopes={0: (1.0, -1.0)})
    assert reason(kinked, 0.0) == (
        "kink at x[0] (slopes -1 and 1, analytical 0 between them): f has no derivative there; check at an x away "
        "from it"
    )
    contradicted = assessment([OPEN], estimate=0.0, bar=12.0, flags=Flag.SCALE | Flag.NOISE)
    assert "small and at large steps contradict each other" in reason(contradicted, 1.35)
    noisy = assessment([OPEN] * 30, estimate=0.5, bar=5.0, flags=Flag.NOISE, noise=0.066)
    assert reason(noisy, 0.6) == (
        "f has a noise level of 0.066: differences cannot see 30 of 30 components; the gradient agrees within that"
    )


def test_kinks_are_named_with_their_slopes():
    found = assessment([OPEN, RIGHT, OPEN], flags=[Flag.KINK, 0, Flag.KINK], slopes={0: (2.0, 1.0), 2: (1.0, 2.0)})
    assert reason(found, [1.5, 1.0, 9.0]) == (
        "kink at x[0] (slopes 1 and 2, analytical 1.5 between them), x[2] (slopes 2 and 1, analytical 9 outside them): "
        "f has no derivative there; check at an x away from it"
    )
    many = assessment([OPEN] * 5, flags=Flag.KINK, slopes={i: (2.0, 1.0) for i in range(5)})
    assert reason(many, 1.5).count("slopes") == 3
    assert "between them) and 2 more: f has no" in reason(many, 1.5)


@pytest.mark.parametrize(
    ("analytical", "forward", "backward", "between"),
    [
        (0.0, 1.0, 0.0, True),
        (1.0, 0.0, 1.0, True),
        (0.3, 1.0, -1.0, True),
        (1.0005, 1.0, 0.0, True),  # a thousandth of the jump is slack
        (1.002, 1.0, 0.0, False),
        (-5.0, 1.0, 0.0, False),
        (math.nan, 1.0, 0.0, False),
    ],
)
def test_between_two_slopes(analytical, forward, backward, between):
    assert is_between(analytical, forward, backward) is between


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        (
            Flag.NON_FINITE,
            "f is not finite near x in x[1]: differences there say too little; pass bounds=, or check at an x inside "
            "the domain",
        ),
        (
            Flag.NO_ROOM,
            "x[1] cannot be moved between its bounds: nothing can be said about that component; leave fixed variables "
            "out of x",
        ),
        (
            Flag.STAIRCASE,
            "f moves in steps along x[1]: flat close to x, not from afar; its derivative there is a matter of scale",
        ),
        (
            Flag.UNCONFIRMED,
            "1 of 3 components were left open by first differences and not looked at closely; the worst is x[1] "
            "(analytical 2, numerical 1)",
        ),
        (
            Flag.SCALE,
            "differences of x[1] at small and at large steps contradict each other (analytical 2, best estimate 1 +- "
            "1e-09): f varies on a scale between them",
        ),
    ],
)
def test_reasons_of_a_doubt(flag, text):
    assert reason(assessment([RIGHT, OPEN, RIGHT], flags=[0, flag, 0]), 2.0) == text


def test_several_components_beyond_the_domain_or_without_room():
    beyond = assessment([OPEN, OPEN, RIGHT], flags=[Flag.NON_FINITE, Flag.NON_FINITE, 0])
    assert "in x[0] and 1 more: differences there" in reason(beyond, 2.0)
    fixed = assessment([OPEN, OPEN, OPEN], flags=[Flag.NO_ROOM, Flag.NO_ROOM, Flag.NO_ROOM])
    assert reason(fixed, 2.0) == (
        "x[0] and 2 more cannot be moved between their bounds: nothing can be said about those components; "
        "leave fixed variables out of x"
    )


def test_one_component_beyond_the_domain_outweighs_many_in_noise():
    found = assessment([OPEN] * 5, bar=0.1, flags=[Flag.NOISE] * 4 + [Flag.NON_FINITE])
    assert reason(found, 1.0).startswith("f is not finite near x in x[4]")
    found = assessment([OPEN] * 5, bar=0.1, flags=[Flag.NOISE] * 4 + [Flag.SCALE])
    assert reason(found, 1.0).startswith("f has a noise level")


def test_a_domain_that_ends_far_away_is_no_reason():
    """f failed at a wide step, but a shorter one was good on both sides, and noise is what limits it."""
    flags = [Flag.NOISE | Flag.NON_FINITE, Flag.NOISE]
    assert reason(assessment([OPEN, OPEN], bar=0.1, flags=flags), 1.0).startswith("f has a noise level")
    flags[0] |= Flag.ONE_SIDED
    assert reason(assessment([OPEN, OPEN], bar=0.1, flags=flags), 1.0).startswith("f is not finite near x in x[0]")
    flags[0] = Flag.NOISE | Flag.NON_FINITE
    nothing = assessment([OPEN, OPEN], estimate=[math.nan, 1.0], bar=[math.inf, 0.1], flags=flags)
    assert reason(nothing, 1.0).startswith("f is not finite near x in x[0]")


def test_noise_says_what_can_be_seen():
    found = assessment([OPEN, OPEN, RIGHT], bar=4e-3, flags=[Flag.NOISE, Flag.NOISE, 0], noise=3e-6)
    assert reason(found, 1.001) == (
        "f has a noise level of 3e-06: differences cannot see relative errors below 0.004 at 2 of 3 components; the "
        "gradient agrees within that"
    )
    assert reason(found, [1.01, 1.001, 1.0]) == (
        "f has a noise level of 3e-06, which leaves 2 of 3 components undecided; x[0] is 2.5 "
        "error bars off (analytical 1.01, numerical 1 +- 0.004)"
    )


@pytest.mark.parametrize("estimate", [0.0, 1.0, math.nan])
@pytest.mark.parametrize("bar", [0.0, 1.0, math.inf])
@pytest.mark.parametrize("analytical", [0.0, 1.0, 1e308])
@pytest.mark.parametrize("flag", [*Flag, Flag.NONE])
def test_there_is_a_reason_for_everything(estimate, bar, analytical, flag):
    """No sentence fails, whatever numbers it is given."""
    for verdict in Verdict:
        slopes = {0: (1.0, 2.0), 1: (1.0, 2.0)}
        found = assessment([verdict, RIGHT], estimate, bar, flags=[flag, 0], slopes=slopes)
        text = reason(found, analytical)
        assert text
        assert not text.endswith(".")  # the report adds it
        assert "\n" not in text


# -------------------------------------------------------------------------------------------- some components only


def test_reasons_when_not_everything_was_seen():
    seen = np.arange(100) < 10
    part = assessment([RIGHT] * 10 + [OPEN] * 90, seen=seen)
    assert reason(part) == (
        "10 of 100 components were checked and agree; if they are a fair sample, and more than 37 % of all were wrong, "
        "one would have been seen with 99 % probability"
    )
    part = assessment([RIGHT] * 7 + [OPEN] * 93, seen=seen)
    assert reason(part).startswith(
        "10 of 100 components were checked and 7 of them agree, 3 are undecided, the worst x[7] (analytical 1, "
        "numerical 1); if they are a fair sample"
    )
    part = assessment([OPEN] * 100, seen=seen)
    part.stopped_by = "an interruption"
    assert reason(part) == (
        "10 of 100 components were checked before an interruption ended the check and none of them agree, 10 are "
        "undecided, the worst x[0] (analytical 1, numerical 1)"
    )
    assert reason(assessment([OPEN] * 100, seen=np.zeros(100, bool))) == "no component was checked"


@pytest.mark.parametrize("seen", [1, 10, 100, 10000])
def test_the_share_that_a_sample_detects(seen):
    assert (1.0 - detectable_share(seen)) ** seen == pytest.approx(0.01)
    assert detectable_share(0) == 1.0


# ------------------------------------------------------------------------------------------------------ worst rows


def test_worst_first():
    verdicts = [RIGHT, OPEN, WRONG, RIGHT, OPEN, WRONG]
    found = assessment(verdicts, estimate=0.0)
    analytical = np.array([100.0, 1.0, 2.0, 200.0, 3.0, 1.0])
    assert worst_first(found, analytical, 6).tolist() == [2, 5, 4, 1, 3, 0]
    assert worst_first(found, analytical, 3).tolist() == [2, 5, 4]
    assert worst_first(found, analytical, 50).tolist() == [2, 5, 4, 1, 3, 0]
    found.seen[:] = [True, False, False, True, True, True]
    assert worst_first(found, analytical, 6).tolist() == [5, 4, 3, 0]


def test_the_effect_on_f_counts_not_the_units_of_x():
    found = assessment([WRONG, WRONG], estimate=0.0, scale=np.array([1e6, 1e-6]))
    assert worst_first(found, np.array([1e-3, 1e3]), 2).tolist() == [0, 1]


def test_what_is_not_a_number_comes_first():
    found = assessment([WRONG, WRONG, WRONG], estimate=[0.0, math.nan, 0.0])
    assert worst_first(found, np.array([1e300, 0.0, math.nan]), 2).tolist() == [1, 2]


def test_equal_components_keep_their_order():
    assert worst_first(assessment([WRONG] * 9, estimate=0.0), np.ones(9), 3).tolist() == [0, 1, 2]
