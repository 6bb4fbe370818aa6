"""The compiled first look at all entries accepts what the plain judgement accepts, and nothing else."""

from dataclasses import dataclass

import numpy as np
import pytest

from fastgrad._jacobian.differences import ColumnDifferences
from fastgrad._jacobian.screen import Screened, screen_all
from fastgrad._jacobian.setting import make_row_setting
from fastgrad._judge.plain import judge_plain
from fastgrad._judge.row_noise import constant_row_noise
from fastgrad._judge.rows import Entries


@dataclass(frozen=True)
class Kind:
    """What the numbers of a check are like."""

    rtol: float = 1e-5
    precision: float = 2.0**-52  # of the given entries
    value: float = 1.0  # typical size of F
    moving: float = 0.9  # share of coordinates that are not zero
    huge: float = 0.0  # share of differences close to overflow


KINDS = {
    "usual": Kind(),
    "entries in float32": Kind(precision=2.0**-23),
    "scales too small to divide by": Kind(value=1e-300, moving=0.0),
    "tolerances that overflow": Kind(rtol=1e10, huge=0.1),
}


def random_differences(entries, kind, seed):
    """Differences of all kinds: that agree, that do not, too noisy ones, curved ones, zeros, failures."""
    rng = np.random.default_rng(seed)
    m, n = entries.shape
    x = rng.normal(size=n) * 10.0 ** rng.integers(-3, 4, n) * (rng.random(n) < kind.moving)
    value = kind.value * rng.normal(size=m) * (rng.random(m) < 0.9)
    given = rng.normal(size=entries.size) * (rng.random(entries.size) < 0.7) * 10.0 ** rng.integers(-9, 3, entries.size)
    step = 10.0 ** rng.uniform(-8.0, -1.0, n)
    groups = n if entries.listed is None else 5
    group = np.arange(n) % groups
    row, column = entries.rows(slice(0, entries.size)), entries.columns(slice(0, entries.size))
    above, below = np.tile(value, (groups, 1)), np.tile(value, (groups, 1))
    slope = given * (1.0 + rng.choice([0.0, 1e-8, 4e-6, 1e-4], entries.size))
    jump = rng.choice([0.0, 0.0, 1e-6, 3e-4, 2e-3, 1e-2], entries.size) * np.abs(slope)
    jump += 1e-14 * rng.normal(size=entries.size)
    slope[rng.random(entries.size) < kind.huge] = 1e300
    above[group[column], row] += (slope + jump) * step[column]
    below[group[column], row] -= (slope - jump) * step[column]
    above[0, 0] = np.nan
    below[groups - 1, m - 1] = np.inf
    nothing = np.empty((0, m))
    first = ColumnDifferences(
        entries, value, step, 2.0 * step, above, below, group, np.ones(n, bool), nothing, nothing,
        np.full(n, -1), np.full((2, n), np.nan),
    )  # fmt: skip
    noise = constant_row_noise(10.0 ** rng.uniform(-17.0, -8.0, m))
    setting = make_row_setting(
        entries, x, given, value, rtol=kind.rtol, precision=kind.precision, noise=noise, grid=np.float64
    )
    return setting, first


def listed(m, n, seed):
    """A pattern in which the columns of a group of every fifth share no row."""
    rng = np.random.default_rng(seed)
    columns = np.sort(rng.integers(0, n, 4 * n))
    rows = rng.integers(0, m // 5, 4 * n) * 5 + columns % 5
    once = np.unique(np.stack([columns, rows]), axis=1)
    return Entries((m, n), (once[1], once[0]))


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", KINDS)
def test_the_compiled_rule_is_that_of_the_judge(kind, seed, lanes):
    entries = Entries((37, 53)) if seed % 2 else listed(50, 40, seed)
    setting, first = random_differences(entries, KINDS[kind], seed)
    weight = np.linspace(0.5, 2.0, entries.shape[0])
    size = entries.size
    found = Screened(np.empty(size), np.empty(size), np.empty(size, np.uint16))
    opened, largest = screen_all(setting, first, weight, found, lanes=lanes)
    everything = np.arange(entries.size)
    row, column = entries.rows(everything), entries.columns(everything)
    above, below, quotient = first.read(everything)
    expected = judge_plain(setting.of(everything), everything, first.step[column], above, below, quotient)
    np.testing.assert_array_equal(found.flags != 0, expected.agrees)
    np.testing.assert_array_equal(found.flags[expected.agrees] & 1, expected.absolute[expected.agrees])
    np.testing.assert_array_equal(found.estimate, quotient)
    np.testing.assert_allclose(found.bar[expected.agrees], expected.bar[expected.agrees], rtol=1e-13)
    assert np.isinf(found.bar[~expected.agrees]).all()
    assert opened == np.count_nonzero(~expected.agrees)
    assert expected.agrees.any() and not expected.agrees.all()
    with np.errstate(invalid="ignore"):
        effect = np.abs(quotient - setting.given) * weight[row] * setting.plain_scale[column]
    expected_largest = np.zeros(entries.shape[1])
    np.maximum.at(expected_largest, column[expected.agrees], effect[expected.agrees])
    np.testing.assert_allclose(largest, expected_largest, rtol=1e-13)
