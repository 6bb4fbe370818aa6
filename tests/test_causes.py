"""Planted bugs are named, in the right place; right gradients and errors without a law are met with silence."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastgrad._causes.cause import Block, find_causes
from fastgrad._causes.evidence import largest_common_power_of_two, log_chance
from fastgrad._causes.numbers import recognise_factor, shortest_decimal

WEIGHT = 0.1  # of every regulariser
SAMPLES = 40


@dataclass(frozen=True)
class Check:
    """What the cause finder is given."""

    x: np.ndarray
    analytical: np.ndarray
    numerical: np.ndarray
    bars: np.ndarray
    wrong: np.ndarray

    def causes(self, **options):
        return find_causes(self.x, self.analytical, self.numerical, self.bars, self.wrong, **options)


@dataclass(frozen=True)
class Gradient:
    """A right gradient at a point."""

    x: np.ndarray
    right: np.ndarray
    blocks: tuple[Block, ...] | None = None
    shape: tuple[int, ...] | None = None

    def check(self, bugged, bar=1e-9, seed=0):
        """The numerical gradient is right within its bars, which are relative; what lies outside is wrong."""
        bars = bar * np.maximum(np.abs(self.right), 1e-3 * np.sqrt(np.mean(self.right**2)))
        numerical = self.right + 0.8 * bars * np.random.default_rng(seed).uniform(-1, 1, self.x.size)
        bugged = np.asarray(bugged, np.float64).ravel()
        wrong = ~(np.abs(numerical - bugged) <= 2 * bars + 1e-8 * np.abs(numerical))
        return Check(self.x, bugged, numerical, bars, wrong)

    def causes(self, bugged, bar=1e-9, seed=0, **options):
        return self.check(bugged, bar, seed).causes(**{"blocks": self.blocks, "shape": self.shape, **options})

    def block(self, name):
        return next(block for block in self.blocks if block.name == name)

    def with_block(self, name, change):
        """The right gradient with one block changed; `change` sees it in its shape."""
        bugged, block = self.right.copy(), self.block(name)
        bugged[block.slice] = np.ravel(change(bugged[block.slice].reshape(block.shape)))
        return bugged


def logistic(seed):
    """Logistic regression, mean loss, with a regulariser on all but the intercept."""
    rng = np.random.default_rng(seed)
    data, labels, x = rng.normal(size=(SAMPLES, 11)), rng.integers(0, 2, SAMPLES), rng.normal(size=12)
    residual = 1 / (1 + np.exp(-data @ x[:11] - x[11])) - labels
    right = np.append(data.T @ residual, residual.sum()) / SAMPLES + WEIGHT * np.append(x[:11], 0.0)
    return Gradient(x, right, (Block("w", 0, (11,)), Block("b", 11, (1,))))


def network(seed):
    """Two layers of tanh, squared error, back-propagation, a regulariser on the matrices."""
    rng = np.random.default_rng(seed)
    shapes = {"W1": (5, 4), "b1": (4,), "W2": (4, 4), "b2": (4,)}
    starts = np.cumsum([0, *(np.prod(shape) for shape in shapes.values())])
    blocks = tuple(Block(name, int(start), shape) for (name, shape), start in zip(shapes.items(), starts, strict=False))
    x, inputs, targets = rng.normal(size=starts[-1]), rng.normal(size=(SAMPLES, 5)), rng.normal(size=(SAMPLES, 4))
    W1, b1, W2, b2 = (x[block.slice].reshape(block.shape) for block in blocks)
    first = np.tanh(inputs @ W1 + b1)
    second = np.tanh(first @ W2 + b2)
    back2 = (second - targets) * (1 - second**2) / SAMPLES
    back1 = back2 @ W2.T * (1 - first**2)
    pieces = inputs.T @ back1 + WEIGHT * W1, back1.sum(0), first.T @ back2 + WEIGHT * W2, back2.sum(0)
    return Gradient(x, np.concatenate([piece.ravel() for piece in pieces]), blocks)


def rosenbrock(seed):
    x = np.random.default_rng(seed).uniform(-1.5, 1.5, 16)
    residual = x[1:] - x[:-1] ** 2
    right = np.append(-400 * x[:-1] * residual - 2 * (1 - x[:-1]), 0.0)
    right[1:] += 200 * residual
    return Gradient(x, right)


def lennard_jones(seed):
    """Forces on 8 atoms of a distorted cube."""
    rng = np.random.default_rng(seed)
    atoms = 1.2 * np.stack(np.meshgrid(*[np.arange(2.0)] * 3), -1).reshape(-1, 3) + 0.08 * rng.normal(size=(8, 3))
    apart = atoms[:, None] - atoms
    square = np.sum(apart**2, -1) + np.eye(8)
    pull = (24 * square**-4 - 48 * square**-7) * (1 - np.eye(8))
    return Gradient(atoms.ravel(), np.sum(pull[:, :, None] * apart, 1).ravel(), shape=(8, 3))


def diffusion(seed):
    """A nonlinear elliptic equation on a 6 x 6 grid: energy of 1 + u^2 times the squared differences."""
    u = np.random.default_rng(seed).normal(size=(6, 6))
    right = WEIGHT * u - np.cos(u)
    for axis in (0, 1):
        low, high = (np.moveaxis(u, axis, 0)[part] for part in (slice(-1), slice(1, None)))
        jump, middle = high - low, (high + low) / 2
        here = np.moveaxis(right, axis, 0)
        here[1:] += (1 + middle**2) * jump + middle * jump**2 / 2
        here[:-1] += -(1 + middle**2) * jump + middle * jump**2 / 2
    return Gradient(u.ravel(), right.ravel(), shape=(6, 6))


MODELS = (logistic, network, rosenbrock, lennard_jones, diffusion)
BARS = (1e-9, 1e-6, 1e-3)


def only(causes):
    """The one cause there is."""
    assert len(causes) == 1, causes
    return causes[0]


def sentences(causes):
    return [cause.sentence for cause in causes]


# --------------------------------------------------------------------------- one law for the whole gradient

PLANTED = {
    "sign": ("sign", -1.0, lambda m: -m.right),
    "twice": ("factor", 2.0, lambda m: 2 * m.right),
    "half": ("factor", 0.5, lambda m: m.right / 2),
    "sum for mean": ("factor", 40.0, lambda m: SAMPLES * m.right),
    "mean for sum": ("factor", 1 / 40, lambda m: m.right / SAMPLES),
    "degrees": ("factor", math.pi / 180, lambda m: m.right * math.pi / 180),
    "minus three": ("factor", -3.0, lambda m: -3 * m.right),
    "unnamed factor": ("factor", 1.0432, lambda m: 1.0432 * m.right),
    "nothing written": ("zero", None, lambda m: 0 * m.right),
    "fresh memory": ("unwritten", None, lambda m: np.full(m.x.size, 6.9e-310)),
    "reversed": ("reversed", None, lambda m: m.right[::-1]),
    "reversed, negated": ("reversed", None, lambda m: -m.right[::-1]),
    "rotated": ("shift", None, lambda m: np.roll(m.right, 1)),
    "rotated by -3": ("shift", None, lambda m: np.roll(m.right, -3)),
    "off by one": ("shift", None, lambda m: np.append(0.0, m.right[:-1])),
    "no regulariser": ("proportional to x", 30.0, lambda m: m.right - 30 * m.x),
    "regulariser twice": ("proportional to x", -30.0, lambda m: m.right + 30 * m.x),
    "constant": ("constant", 3e3, lambda m: m.right - 3e3),
}
NARROW_BARS_ONLY = {
    "weak regulariser": ("proportional to x", 1e-3, lambda m: m.right - 1e-3 * m.x),
    "no mean, but the regulariser": ("factor and term in x", 40.0, lambda m: 40 * m.right - 4 * m.x),
    "single precision": ("float32", None, lambda m: m.right.astype(np.float32)),
}


def assert_named(planted, model, bar):
    kind, parameter, bug = planted
    for seed in range(3):
        gradient = model(seed)
        check = gradient.check(bug(gradient), bar, seed)
        cause = only(check.causes(blocks=gradient.blocks, shape=gradient.shape))
        assert cause.kind == kind
        assert cause.block is None
        assert cause.n_explained >= np.count_nonzero(check.wrong) - (kind == "shift")
        assert (cause.parameter is None) == (parameter is None)
        if parameter is not None:
            assert cause.parameter == pytest.approx(parameter, rel=max(100 * bar, 1e-4))


@pytest.mark.parametrize("bar", BARS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", PLANTED)
def test_planted_bug_is_named(name, model, bar):
    assert_named(PLANTED[name], model, bar)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", NARROW_BARS_ONLY)
def test_planted_bug_is_named_given_narrow_bars(name, model):
    assert_named(NARROW_BARS_ONLY[name], model, 1e-9)


@pytest.mark.parametrize("model", [network, rosenbrock, lennard_jones, diffusion])
def test_term_in_the_sign_of_x(model):
    gradient = model(0)
    assert only(gradient.causes(gradient.right - 0.3 * np.sign(gradient.x))).sentence == (
        "a term 0.3 * sign(x) is missing from every entry: an L1 penalty?"
    )


@pytest.mark.parametrize("model", [lennard_jones, diffusion])
@pytest.mark.parametrize("bar", BARS)
def test_matrices_in_the_wrong_layout(model, bar):
    gradient = model(0)
    matrix = gradient.right.reshape(gradient.shape)
    for bugged, sentence in (
        (matrix.T, "the gradient is transposed"),
        (-matrix.T, "the gradient is transposed, with the wrong sign"),
        (matrix[::-1], "the rows of the gradient are in reverse order"),
        (matrix[:, ::-1], "the columns of the gradient are in reverse order"),
        (
            np.roll(matrix, 1, axis=0),
            "shifted: row i + 1 of the gradient is that of row i, cyclically",
        ),
        (np.roll(matrix, -1, axis=1), "are shifted: column i of the gradient is that of column i + 1, cyclically"),
        (np.roll(matrix, 1), "read as one row, is shifted: analytical[i + 1] is the derivative of entry i, cyclically"),
    ):
        assert sentence in only(gradient.causes(bugged, bar)).sentence


def test_the_other_reading_of_a_rectangular_matrix():
    gradient = lennard_jones(1)
    bugged = gradient.right.reshape(3, 8).T
    assert sentences(gradient.causes(bugged)) == ["the gradient is stored in the other (C or Fortran) order"]


def test_function_that_ignores_its_argument():
    bugged, x = np.random.default_rng(0).normal(size=(2, 5))
    fact = "every entry has a numerical derivative of zero"
    assert sentences(Gradient(x, np.zeros(5)).causes(bugged)) == [f"{fact}: f does not react"]
    # Plain numbers may be a stationary point, as may be any at which the derivative is zero to rounding only.
    doubt = f"{fact} (f does not react, or is stationary in x)"
    assert sentences(Gradient(np.arange(5.0), np.zeros(5)).causes(bugged)) == [doubt]
    assert sentences(find_causes(x, bugged, np.full(5, 1e-12), np.full(5, 1e-11), np.full(5, True))) == [doubt]


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (2.0, "2 times too large (analytical = 2 * numerical): a missing or doubled factor"),
        (0.5, "2 times too small (numerical = 2 * analytical): a missing or doubled factor"),
        (16.0, "16 times too large (analytical = n * numerical): a sum for a mean, or the reverse?"),
        (1 / 32, "32 times too small (numerical = 2 n * analytical): a sum for a mean, or the reverse?"),
        (50.0, "50 times too large (analytical = batch * numerical)"),
        (2 / 50, "25 times too small (numerical = batch/2 * analytical)"),
        (0.01, "100 times too small (numerical = 2 batch * analytical)"),
        (-7.0, "7 times too large (analytical = 7 * numerical), and has the wrong sign"),
        (2 / 3, "1.5 times too small (numerical = 3/2 * analytical)"),
        (180 / math.pi, "57.2958 times too large (analytical = 180/pi * numerical): degrees for radians?"),
        (math.pi / 180, "57.2958 times too small (numerical = 180/pi * analytical): degrees for radians?"),
        (2 * math.pi, "6.28319 times too large (analytical = 2 pi * numerical)"),
        (math.log(10), "2.30259 times too large (analytical = ln 10 * numerical): log10 for ln?"),
        (math.log(2), "1.4427 times too small (numerical = 1/ln 2 * analytical): log2 for ln?"),
        (math.sqrt(2), "1.41421 times too large (analytical = sqrt 2 * numerical)"),
        (1.2345, "1.2345 times too large (analytical = 1.2345 * numerical)"),
    ],
)
def test_factors_have_names(factor, words):
    gradient = rosenbrock(0)
    cause = only(gradient.causes(factor * gradient.right, constants={"batch": 50}))
    assert cause.sentence == f"every entry is {words}"
    assert cause.parameter == pytest.approx(factor, rel=1e-8)


def test_wide_bars_take_the_name_but_not_the_value():
    gradient = rosenbrock(0)
    assert only(gradient.causes(gradient.right * math.pi, 1e-6)).sentence.endswith("(analytical = pi * numerical)")
    cause = only(gradient.causes(gradient.right * math.pi, 1e-3))
    assert "pi" not in cause.sentence
    assert cause.parameter == pytest.approx(math.pi, rel=1e-3)


@pytest.mark.parametrize(
    ("coefficient", "words"),
    [
        (0.1, "a term weight * x is missing from every entry: a regulariser?"),
        (-0.2, "an extra term 2 weight * x is in every entry: a regulariser?"),
        (0.25, "a term 0.25 * x is missing from every entry: a regulariser?"),
    ],
)
def test_coefficients_have_names(coefficient, words):
    gradient = diffusion(0)
    bugged = gradient.right - coefficient * gradient.x
    assert sentences(gradient.causes(bugged, constants={"weight": 0.1})) == [words]


# ---------------------------------------------------------------------------------------------------- places


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (np.s_[3, :], "the entries in row 3 have"),
        (np.s_[2:5, :], "the entries in rows 2..4 have"),
        (np.s_[:, 5], "the entries in column 5 have"),
        (np.s_[:, 1:3], "the entries in columns 1..2 have"),
        (np.eye(6, dtype=bool), "the entries on the diagonal have"),
        (~np.eye(6, dtype=bool), "the entries off the diagonal have"),
        (np.triu(np.ones((6, 6), bool), 1), "the entries above the diagonal have"),
        (np.tril(np.ones((6, 6), bool), -1), "the entries below the diagonal have"),
        (np.pad(np.zeros((4, 4), bool), 1, constant_values=True), "the entries on the border have"),
        (np.reshape(np.arange(36) % 4 == 3, (6, 6)), "every fourth entry from [0, 3] on has"),
        (np.reshape((np.arange(36) > 8) & (np.arange(36) < 20), (6, 6)), "entries [1, 3]..[3, 1] have"),
        (np.s_[0, 1], "entry [0, 1] has"),
        (np.s_[0, [1, 4]], "entries [0, 1] and [0, 4] have"),
        (np.s_[[0, 1, 4], [1, 4, 0]], "entries [0, 1], [1, 4] and [4, 0] have"),
        (np.s_[[0, 1, 3, 4, 4], [1, 4, 4, 0, 5]], "the 5 wrong entries have"),
        (np.s_[:, :], "every entry has"),
    ],
)
def test_place_of_a_sign_error(entries, words):
    gradient = diffusion(2)
    bugged = gradient.right.reshape(6, 6).copy()
    bugged[entries] *= -1
    cause = only(gradient.causes(bugged))
    assert cause.sentence == f"{words} the wrong sign"
    assert cause.n_explained == np.count_nonzero(bugged != gradient.right.reshape(6, 6))


def test_slices_of_a_third_order_tensor():
    gradient = Gradient(*np.random.default_rng(0).normal(size=(2, 60)), shape=(3, 4, 5))
    tensor = gradient.right.reshape(3, 4, 5)
    for entries, words in (
        (np.s_[1], "the entries with first index 1 are"),
        (np.s_[..., 2:4], "the entries with last index 2..3 are"),
    ):
        bugged = tensor.copy()
        bugged[entries] = 0.0
        assert sentences(gradient.causes(bugged)) == [f"{words} exactly zero: zeroed or never written"]
    assert sentences(gradient.causes(tensor.reshape(3, 4, 5).T)) == ["the gradient is transposed"]


def test_unresolved_entries_do_not_spoil_the_place():
    gradient = rosenbrock(3)
    check = gradient.check(-gradient.right)
    check.bars[4], check.wrong[4] = np.inf, False
    assert sentences(check.causes()) == ["every entry has the wrong sign"]
    check.bars[2:], check.wrong[2:] = np.nan, False
    assert sentences(check.causes()) == ["entries 0 and 1 have the wrong sign"]


def test_no_law_but_a_pattern():
    gradient = diffusion(3)
    bugged = gradient.right.reshape(6, 6).copy()
    bugged[1:3] *= np.random.default_rng(0).normal(size=(2, 6))
    cause = only(gradient.causes(bugged))
    assert (cause.kind, cause.sentence) == ("place", "the entries in rows 1..2 are wrong, and no others")
    assert gradient.causes(bugged, 0.1) == ()


# ---------------------------------------------------------------------------------------------------- blocks


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("W1", np.negative, "the entries of W1 have the wrong sign"),
        ("W2", lambda W: W / 4, "the entries of W2 are 4 times too small (numerical = 4 * analytical)"),
        ("W1", lambda W: W * 20, "the entries of W1 are 20 times too large (analytical = size of W1 * numerical)"),
        ("b1", lambda b: 0 * b, "the entries of b1 are exactly zero: zeroed or never written"),
        ("W1", lambda W: W.T, "block W1 is transposed"),
        ("W2", lambda W: W.T, "block W2 is transposed"),
        ("W2", lambda W: -W.T, "block W2 is transposed, with the wrong sign"),
        ("W1", lambda W: W[::-1], "the rows of block W1 are in reverse order"),
        ("W1", lambda W: W[:, ::-1], "the columns of block W1 are in reverse order"),
        ("b2", lambda b: b[::-1], "block b2 is in reverse order"),
        (
            "b2",
            lambda b: np.roll(b, 1),
            "block b2 is shifted: analytical[i + 1] is the derivative of entry i, cyclically",
        ),
        ("b1", lambda b: b[[0, 3, 2, 1]], "entries b1[1] and b1[3] are swapped"),
        ("b2", lambda b: np.where(np.arange(4) == 2, np.nan, b), "entry b2[2] is not finite"),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_one_wrong_block(name, change, words, seed):
    gradient = network(seed)
    cause = only(gradient.causes(gradient.with_block(name, change)))
    assert cause.block == name
    assert cause.sentence.split(": a sum")[0].removeprefix(f"only block {name} is wrong: ") == words
    assert cause.sentence.startswith("only block") == (cause.kind != "not finite")


@pytest.mark.parametrize("name", ["W1", "W2"])
@pytest.mark.parametrize("seed", range(5))
def test_regulariser_of_one_block(name, seed):
    gradient = network(seed)
    x = gradient.x[gradient.block(name).slice].reshape(gradient.block(name).shape)
    cause = only(gradient.causes(gradient.with_block(name, lambda W: W - WEIGHT * x)))
    assert cause.sentence == (
        f"only block {name} is wrong: a term 0.1 * x is missing from the entries of {name}: a regulariser?"
    )
    assert cause.parameter == pytest.approx(WEIGHT)


def test_regulariser_on_the_intercept_as_well():
    for seed in range(5):
        gradient = logistic(seed)
        bugged = gradient.right + WEIGHT * np.append(np.zeros(11), gradient.x[11])
        assert gradient.causes(bugged) == ()  # one entry of one number: there may be many reasons


@pytest.mark.parametrize("seed", range(5))
def test_several_blocks(seed):
    gradient = network(seed)
    weights = np.concatenate([np.full(b.size, b.name.startswith("W")) for b in gradient.blocks])
    assert sentences(gradient.causes(np.where(weights, -1, 1) * gradient.right)) == [
        "the entries of W1 and W2 have the wrong sign"
    ]
    missing = sentences(gradient.causes(gradient.right - 0.1 * weights * gradient.x, constants={"weight": 0.1}))
    assert missing == ["a term weight * x is missing from the entries of W1 and W2: a regulariser?"]
    mixed = -gradient.with_block("W2", lambda W: -2 * W.T)
    mixed[: gradient.block("W2").start] *= -1
    mixed[gradient.block("b2").slice] *= 0
    causes = gradient.causes(mixed)
    assert [(cause.kind, cause.block) for cause in causes] == [("zero", "b2")]


@pytest.mark.parametrize("seed", range(5))
def test_a_cause_for_each_block(seed):
    gradient = network(seed)
    bugged = gradient.with_block("W1", np.transpose)
    bugged[gradient.block("b2").slice] *= -1
    assert sentences(gradient.causes(bugged)) == ["block W1 is transposed", "the entries of b2 have the wrong sign"]
    bugged[gradient.block("b1").slice] = [0, *-gradient.right[gradient.block("b1").slice][1:]]
    assert sentences(gradient.causes(bugged))[1:] == [
        "entry b1[0] is exactly zero: zeroed or never written",
        "entries b1[1], b1[2] and b1[3] have the wrong sign",
        "the entries of b2 have the wrong sign",
    ]


@pytest.mark.parametrize("bar", [1e-9, 1e-6])
def test_swapped_and_misplaced_blocks(bar):
    gradient = network(1)
    b1, b2 = (gradient.block(name).slice for name in ("b1", "b2"))
    bugged = gradient.right.copy()
    bugged[b1], bugged[b2] = gradient.right[b2], gradient.right[b1]
    cause = only(gradient.causes(bugged, bar))
    assert (cause.sentence, cause.n_explained, cause.block) == ("blocks b1 and b2 are swapped", 8, None)
    bugged[b1] = np.random.default_rng(0).normal(size=4)
    cause = only(gradient.causes(bugged, bar))
    assert cause.sentence == "the gradient of block b1 is in the place of block b2"
    assert (cause.n_explained, cause.block) == (4, "b1")


def test_a_right_entry_contradicts_a_misplaced_block():
    gradient = network(1)
    b1, b2 = (gradient.block(name).slice for name in ("b1", "b2"))
    bugged = gradient.right.copy()
    bugged[b1.start : b1.stop - 1] = np.random.default_rng(0).normal(size=3)
    bugged[b2] = [*gradient.right[b1][:3], 5.0]
    assert "misplaced block" not in {cause.kind for cause in gradient.causes(bugged)}


def test_a_shift_must_explain_more_than_it_leaves_open():
    for seed in range(20):
        gradient, rng = network(seed), np.random.default_rng(seed)
        last_only = gradient.with_block("b2", lambda b, rng=rng: [*rng.normal(size=3), b[0]])
        assert only(gradient.causes(last_only)).kind == "one block"


def test_blocks_without_a_law():
    gradient = network(0)
    rng = np.random.default_rng(1)
    bugged = gradient.with_block("b2", lambda b: b * rng.normal(size=4))
    assert [(c.kind, c.block, c.sentence) for c in gradient.causes(bugged)] == [
        ("one block", "b2", "only block b2 is wrong")
    ]
    bugged[:20] *= rng.normal(size=20)
    assert [(c.kind, c.block, c.sentence) for c in gradient.causes(bugged)] == [
        ("some blocks", None, "only the blocks W1 and b2 are wrong")
    ]
    bugged[9:20] = gradient.right[9:20]
    assert gradient.causes(bugged) == ()  # W1 is right for the greater part
    assert gradient.causes(gradient.with_block("b2", lambda b: b * rng.normal(size=4)), 0.1) == ()


def test_entries_that_vouch_for_no_block():
    """An unknown bar elsewhere: the law is named, but not that the rest is right."""
    gradient = network(0)
    check = gradient.check(gradient.with_block("W1", np.negative))
    check.bars[-1] = np.inf
    assert sentences(check.causes(blocks=gradient.blocks)) == ["the entries of W1 have the wrong sign"]
    check.bars[-1], check.analytical[-1] = 1e-9, 1.01 * gradient.right[-1]  # differs, but was not confirmed
    assert sentences(check.causes(blocks=gradient.blocks)) == ["the entries of W1 have the wrong sign"]
    check.bars[-1], check.numerical[-1] = 0.0, np.inf
    assert sentences(check.causes(blocks=gradient.blocks)) == ["the entries of W1 have the wrong sign"]


def test_one_law_for_entries_scattered_over_all_blocks():
    gradient = network(0)
    scattered = np.isin(np.arange(gradient.x.size), [1, 8, 11, 21, 30, 31, 37, 42])
    cause = only(gradient.causes(np.where(scattered, 2, 1) * gradient.right))
    assert cause.sentence.startswith("the 8 wrong entries are 2 times too large")
    assert cause.n_explained == 8


# ----------------------------------------------------------------------------------------------- single entries


@pytest.mark.parametrize("model", MODELS)
def test_single_entries(model):
    for seed in range(3):
        gradient = model(seed)
        one = np.arange(gradient.x.size) == 3
        for value, kind in ((0.0, "zero"), (-1.0, "sign"), (2.0, "factor"), (0.5, "factor"), (np.nan, "not finite")):
            cause = only(gradient.causes(np.where(one, value, 1) * gradient.right))
            assert (cause.kind, cause.n_explained) == (kind, 1)
        for value in (3.0, 1.5, 0.1, math.pi, -2.7):
            assert gradient.causes(np.where(one, value, 1) * gradient.right) == ()
        assert gradient.causes(np.where(one, gradient.right[4], gradient.right)) == ()
        assert gradient.causes(gradient.right - 0.1 * one * gradient.x) == ()
        # A wide bar proves nothing about a single entry, except that zero is not a derivative.
        assert only(gradient.causes(np.where(one, 0, gradient.right), 1e-3)).kind == "zero"
        assert gradient.causes(np.where(one, -1, 1) * gradient.right, 1e-3) == ()


# -------------------------------------------------------------------------------------------------- no doubt


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("bar", [*BARS, 1e-1])
def test_right_gradients_have_no_cause(model, bar):
    for seed in range(20):
        gradient = model(seed)
        check = gradient.check(gradient.right, bar, seed)
        assert not check.wrong.any()
        assert check.causes(blocks=gradient.blocks, shape=gradient.shape) == ()


UNSTRUCTURED = {
    "gaussian": lambda m, rng: m.right + np.std(m.right) * rng.normal(size=m.x.size),
    "multiplicative": lambda m, rng: m.right * (1 + 0.3 * rng.normal(size=m.x.size)),
    "per mille": lambda m, rng: m.right * (1 + 1e-3 * rng.normal(size=m.x.size)),
    "about twice": lambda m, rng: m.right * 2 * (1 + 0.05 * rng.normal(size=m.x.size)),
    "about opposite": lambda m, rng: -m.right * (1 + 0.02 * rng.normal(size=m.x.size)),
    "random factors": lambda m, rng: m.right * rng.uniform(-3, 3, m.x.size),
    "sparse": lambda m, rng: m.right * (1 + rng.normal(size=m.x.size) * (rng.random(m.x.size) < 0.15)),
    "permutation": lambda m, rng: m.right[rng.permutation(m.x.size)],
    "cubic term": lambda m, rng: m.right + rng.normal() * m.x**3,
    "term in another x": lambda m, rng: m.right + 0.3 * m.x[rng.permutation(m.x.size)],
    "missing derivative": lambda m, rng: m.right * (1 - np.tanh(m.x) ** 2),
    "smooth ratio": lambda m, rng: m.right * (1.5 + np.sin(rng.normal() + 2 * np.linspace(0, 1, m.x.size))),
    "smooth term": lambda m, rng: m.right + np.cos(rng.normal() + np.linspace(0, 2, m.x.size)),
    "decay": lambda m, rng: m.right * np.exp(-rng.uniform(0.1, 2) * np.arange(m.x.size)),
    "float32, per mille": lambda m, rng: np.float32(m.right * (1 + 1e-3 * rng.normal(size=m.x.size))),
    "integers": lambda m, rng: m.right + rng.integers(-9, 10, m.x.size),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", UNSTRUCTURED)
def test_errors_without_a_law_have_no_cause(name, model):
    """Whatever the bars: 5 models x 16 kinds of errors x 12 seeds with 2 of 5 widths each, without and with blocks."""
    bars = (1e-9, 1e-7, 1e-5, 1e-3, 3e-2)
    for seed, k in itertools.product(range(12), range(2)):
        bar = bars[(seed + 2 * k) % len(bars)]
        gradient = model(seed)
        bugged = UNSTRUCTURED[name](gradient, np.random.default_rng([seed, 99]))
        constants = {"batch": SAMPLES, "weight": WEIGHT}
        assert gradient.causes(bugged, bar, seed, blocks=None, constants=constants) == ()
        laws = gradient.causes(bugged, bar, seed, constants=constants)
        assert {cause.kind for cause in laws} <= {"one block", "some blocks"}


def test_a_right_entry_that_contradicts_narrows_the_place():
    gradient = rosenbrock(0)
    bugged = np.where(np.arange(16) == 5, 1, -1) * gradient.right
    assert sentences(gradient.causes(bugged)) == ["the 15 wrong entries have the wrong sign"]


def test_a_wrong_entry_that_contradicts_refuses_the_law():
    for model in MODELS:
        gradient = model(0)
        for name, (_, _, bug) in PLANTED.items():
            bugged = np.array(bug(gradient))
            bugged[1] = gradient.right[1] * 1.37
            causes = gradient.causes(bugged, blocks=None)
            zeros = np.count_nonzero(np.abs(bugged) < 1e-300)  # a fact by itself, whatever the others are
            assert sum(cause.n_explained for cause in causes) == zeros, (name, causes)


def test_symmetric_points_prove_nothing():
    """Entries that are copies of each other agree with every law: they count once."""
    x, right = np.full(50, 0.7), np.full(50, 1.3)
    assert Gradient(x, right).causes(right * 1.234) == ()
    assert Gradient(x, right).causes(right + 0.1) == ()
    assert Gradient(x, right).causes(-right) == ()  # one plain number, one value
    x, right = np.full(50, 0.7123), np.full(50, 1.23456789012)
    assert sentences(Gradient(x, right).causes(-right)) == ["every entry has the wrong sign"]
    assert Gradient(x, right).causes(right * 1.234) == ()
    x, right = np.tile([0.7, -0.2], 25), np.tile([1.3, 4.1], 25)
    assert Gradient(x, right).causes(right * np.tile([1.2, 1.9], 25)) == ()


def test_terms_that_x_cannot_tell_apart():
    right = np.random.default_rng(0).normal(size=12)
    cause = only(Gradient(np.ones(12), right).causes(right - 0.1))
    assert cause.sentence == (
        "a constant 0.1 is missing from every entry (or proportional to x or proportional to sign(x): x cannot tell)"
    )


def test_small_integers_agree_by_accident():
    gradient = Gradient(np.array([3.0, 4.0, 5.0]), np.array([6.0, 8.0, 10.0]))
    assert gradient.causes([7.0, 9.0, 11.0]) == ()
    assert gradient.causes([9.0, 12.0, 15.0]) == ()  # 3/2 times, or an extra term 1 * x
    # ... but the textbook mistakes are still named.
    assert only(gradient.causes([3.0, 4.0, 5.0])).sentence.startswith("every entry is 2 times too small")
    assert sentences(gradient.causes([-6.0, -8.0, -10.0])) == ["every entry has the wrong sign"]
    # A lone factor, sign or swap proves nothing, and a zero only itself.
    assert sentences(gradient.causes([6.0, 0.0, 10.0])) == ["entry 1 is exactly zero"]
    for bugged in ([8.0, 6.0, 10.0], [6.0, -8.0, 10.0], [6.0, 4.0, 10.0], [6.0, 8.0, 20.0], [-6.0, -8.0, 10.0]):
        assert gradient.causes(bugged) == ()


# Wrong at one plain point, for another reason than it seems: the point, the wrong and the right gradient.
ACCIDENTS = {
    "a forgotten mixed term": ([1.0, 2, 3], [2.0, 1, 6], [4.0, 1, 6]),
    "3 x for 3 x^2": ([2.0, 3], [6.0, 6], [12.0, 6]),
    "x^2 for 2 x": ([1.0, 4], [3.0, 16], [3.0, 8]),
    "1 for 2 x0 x1 - x0^2 - 2": ([1.0, 1], [1.0, 1], [1.0, -1]),
    "values that are not plain": ([4.0, 0.3], [16 * math.exp(0.3), 1.7], [8 * math.exp(0.3), 1.7]),
    "plain decimals": ([0.3, 0.6], [0.6, 0.3], [1.2, 0.3]),
    "a constant derivative": ([0.71828, 0.14159], [2.0, 3.0], [4.0, 3.0]),
}


@pytest.mark.parametrize("name", ACCIDENTS)
def test_a_lone_accident_at_plain_numbers_is_not_named(name):
    x, bugged, right = map(np.array, ACCIDENTS[name])
    assert Gradient(x, right).causes(bugged) == ()


@pytest.mark.parametrize(
    "x",
    [
        pytest.param([0.0, 1.0, 2.0], id="plain numbers"),
        pytest.param([0.71828, 0.0, 1.41421], id="a factor x that is zero"),
        pytest.param([0.71828, 1.41421, 1.41421], id="a difference of equal x"),
    ],
)
def test_a_zero_that_x_may_have_made_is_stated_and_not_explained(x):
    gradient = Gradient(np.array(x), np.array([1.23456, 2.0, 3.14159]))
    assert sentences(gradient.causes(gradient.right * [1, 0, 1])) == ["entry 1 is exactly zero"]
    elsewhere = Gradient(np.array([0.71828, 1.23571, 1.41421]), gradient.right)
    assert sentences(elsewhere.causes(gradient.right * [1, 0, 1])) == [
        "entry 1 is exactly zero: zeroed or never written"
    ]


def test_a_factor_at_one_plain_number_may_be_a_power():
    right = np.random.default_rng(0).normal(size=12)
    (cause,) = Gradient(np.full(12, 2.0), right).causes(2 * right)
    assert cause.sentence.endswith("a missing or doubled factor (or a wrong power of x: x cannot tell)")
    assert only(Gradient(np.full(12, 2.0), right).causes(-right)).sentence == "every entry has the wrong sign"


def test_the_whole_gradient_at_integers_is_named_from_three_different_entries_on():
    for n in range(1, 12):
        x = np.arange(1.0, n + 1)
        named = [[cause.kind for cause in Gradient(x, 2 * x).causes(bugged)] for bugged in (-2 * x, x, 4 * x)]
        assert named == ([["sign"], ["factor"], ["factor"]] if n >= 3 else [[], [], []])
        one_right = np.where(np.arange(n) == 0, 2, -2) * x
        assert len(Gradient(x, 2 * x).causes(one_right)) == (n >= 7)


def test_few_distinct_values_are_not_a_rearrangement():
    rng = np.random.default_rng(0)
    for _ in range(200):
        right = rng.choice([-1.0, 1.0], 8)
        kinds = {cause.kind for cause in Gradient(rng.normal(size=8), right).causes(rng.choice([-1.0, 1.0], 8))}
        assert kinds <= {"sign"}  # which is what all wrong entries then have


def test_wide_bars_give_no_cause():
    gradient = network(0)
    for _, _, bug in (PLANTED["twice"], PLANTED["minus three"], PLANTED["reversed"]):
        assert gradient.causes(bug(gradient), 0.2) == ()


@pytest.mark.parametrize("factor", [2.0, 0.5, -1.0])
def test_coarse_bars_need_many_entries(factor):
    gradient = network(0)
    assert len(gradient.causes(factor * gradient.right, 1e-2)) == 1
    few = gradient.with_block("b2", lambda b: factor * b)
    assert {cause.kind for cause in gradient.causes(few, 1e-2)} <= {"one block"}


def test_unnamed_numbers_in_few_entries_need_fine_bars():
    gradient = network(0)
    for change, kind in ((lambda b: 1.2345 * b, "factor"), (lambda b: b + 12.345, "constant")):
        few = gradient.with_block("b2", change)
        assert only(gradient.causes(few, 1e-8)).kind == kind
        assert only(gradient.causes(few, 1e-4)).kind == "one block"


def test_unknown_bars_are_no_evidence():
    gradient = rosenbrock(0)
    check = gradient.check(-gradient.right)
    check.bars[:] = np.nan
    assert check.causes() == ()


@pytest.mark.parametrize("bug", [lambda m: 1.2345 * m.right, lambda m: m.right + 1.2345 * m.x])
def test_a_measured_parameter_is_uncertain(bug):
    """Entries that were not confirmed vouch for a law even if their bars are narrower than its parameter."""
    gradient = diffusion(0)
    check = gradient.check(bug(gradient))
    check.wrong[16:], check.bars[:16] = False, 1e-4 * np.abs(gradient.right[:16])
    check.numerical[:16] += 0.3 * check.bars[:16] * np.sign(gradient.right[:16])
    assert "every entry" in only(check.causes()).sentence


def test_two_parameters_need_six_entries():
    rng = np.random.default_rng(0)
    for size, kinds in ((5, []), (12, ["factor and term in x"])):
        gradient = Gradient(*rng.normal(size=(2, size)))
        assert [c.kind for c in gradient.causes(40 * gradient.right - 4 * gradient.x)] == kinds


def test_integers_are_not_single_precision():
    rng = np.random.default_rng(0)
    whole = rng.integers(1, 100, 12).astype(float)
    assert Gradient(rng.normal(size=12), whole + 3e-6 * rng.normal(size=12)).causes(whole) == ()


def test_subnormal_gradients_are_not_unwritten():
    x, right = np.random.default_rng(0).normal(size=(2, 12))
    assert only(Gradient(x, 1e-303 * right).causes(1e-310 * right)).kind == "factor"


# ------------------------------------------------------------------------------------------------- properties

REPRODUCES = {
    "sign": lambda check, c: -check.analytical,
    "factor": lambda check, c: check.analytical / c,
    "constant": lambda check, c: check.analytical + c,
    "proportional to x": lambda check, c: check.analytical + c * check.x,
    "proportional to sign(x)": lambda check, c: check.analytical + c * np.sign(check.x),
}


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.data())
def test_what_is_said_reproduces_the_numerical_gradient(data):
    """Two laws, mixed at random: each cause must account for as many entries as it says."""
    gradient = data.draw(st.sampled_from([rosenbrock, lennard_jones, diffusion]))(data.draw(st.integers(0, 9)))
    factor, constant = data.draw(st.floats(-4, 4)), data.draw(st.sampled_from([0.0, 0.0, 5.0]))
    chosen = np.array(data.draw(st.lists(st.booleans(), min_size=gradient.x.size, max_size=gradient.x.size)))
    bugged = np.where(chosen, factor * gradient.right, gradient.right) + constant
    check = gradient.check(bugged, data.draw(st.sampled_from(BARS)))
    for cause in check.causes(shape=gradient.shape):
        if cause.kind in REPRODUCES:
            error = np.abs(REPRODUCES[cause.kind](check, cause.parameter) - check.numerical)
            slack = 1e-3 * np.abs(check.numerical) if cause.kind == "factor" else 2 * check.bars
            close = error <= check.bars + 1e-8 * np.abs(check.numerical) + slack
            assert np.count_nonzero(close & check.wrong) == cause.n_explained
        assert cause.n_explained <= np.count_nonzero(check.wrong)
        assert cause.sentence.isascii()
        assert "{" not in cause.sentence


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.integers(-300, 300), st.integers(-200, 200), st.sampled_from(sorted(PLANTED)))
def test_units_do_not_matter(power_of_f, power_of_x, name):
    """Laws without a dimension are found in any units of f and x."""
    kind, _, bug = PLANTED[name]
    gradient = rosenbrock(4)
    scaled = Gradient(
        np.ldexp(gradient.x, power_of_x),
        np.ldexp(gradient.right, power_of_f - power_of_x),
    )
    if kind in ("sign", "factor", "zero", "reversed", "shift"):
        assert sentences(scaled.causes(bug(scaled))) == sentences(gradient.causes(bug(gradient)))


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.floats(1e-300, 1e300), st.floats(0, 0.5))
def test_shortest_decimal_lies_in_its_interval(low, width):
    high = low * (1 + width)
    text = shortest_decimal(low, high)
    assert low <= float(text) <= high
    digits = len(text.split("e")[0].replace(".", "").strip("0"))
    shorter = (f"{low + (high - low) / 2:.{d}g}" for d in range(1, digits))
    assert not any(low <= float(t) <= high for t in shorter)


def test_numbers():
    assert shortest_decimal(0.0999999, 0.1000001) == "0.1"
    assert shortest_decimal(9.9, 10.3) == "10"
    assert shortest_decimal(-0.2501, -0.2499) == "-0.25"
    assert recognise_factor(41.999, 42.001, {}, {}).text == "42"
    assert recognise_factor(41.9, 42.1, {}, {}).parameters == 1
    assert largest_common_power_of_two(np.array([6.0, 0.0, -10.0])) == 2.0
    assert largest_common_power_of_two(np.array([0.75, 3.0])) == 0.25
    assert largest_common_power_of_two(np.zeros(3)) == 0.0


def test_chance_counts_parameters_copies_and_alternatives():
    digits = np.array([-4.0, -9.0, 0.0, -2.0])
    assert log_chance(digits, free=0, among=100) == pytest.approx(-13)
    assert log_chance(digits, free=1, among=100) == pytest.approx(-4)
    assert log_chance(digits, np.array([1.0, 1.0, 5.0, 2.0]), free=1, among=1) == pytest.approx(-2)
    assert log_chance(digits, free=0, among=1, most_digits=1) == pytest.approx(-3)
    assert log_chance(np.zeros(3), np.ones(3), free=0, among=10) == pytest.approx(1)
