"""The gate for single values: numbers, counts, seeds, switches, the user's constants and extra arguments."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def described(value: Any) -> str:
    """What arrived, where its kind alone is wrong."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def positive_number(value: Any, name: str) -> float:
    """A positive finite number."""
    if not is_whole(value) and not isinstance(value, float | np.floating):
        raise TypeError(f"{name} is {value!r}; need a positive number.")
    number = _as_float(value)
    if not 0.0 < number < math.inf:
        raise ValueError(f"{name} is {value}; need a positive, finite number.")
    return number


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # of an int
        return math.inf if value > 0 else -math.inf


def whole_number(value: Any, name: str, least: int | None = None) -> int:
    """A whole number, large enough."""
    if not is_whole(value):
        raise TypeError(f"{name} is {value!r}; need a whole number.")
    if least is not None and value < least:
        raise ValueError(f"{name} is {value}; need {least} or more.")
    return int(value)


_MOST_DRAWN = 1_000_000  # beyond it a slip of the keyboard is likelier than a wish, and would run for ever


def number_of_draws(value: Any, name: str, least: int) -> int:
    """How many directions, segments or pairs to draw."""
    count = whole_number(value, name, least)
    if count > _MOST_DRAWN:
        raise ValueError(f"{name} is {value}; need a number from {least} to {_MOST_DRAWN}: each costs evaluations.")
    return count


def switch(value: Any, name: str) -> bool:
    """True or False: a list, or the word "no", counts as true in Python, which nobody means."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is {value!r}; need True or False.")
    return bool(value)


_SEED = "need a whole number from 0 or a numpy.random.Generator (None draws anew)"


def seed_of(rng: Any) -> int:
    """A seed from what the user gave; as in NumPy and SciPy, None draws anew at every call."""
    if rng is None or isinstance(rng, np.random.Generator):
        return int(generator_of(rng).integers(1 << 62))
    if not is_whole(rng):
        raise TypeError(f"rng is {rng!r}; {_SEED}.")
    if rng < 0:
        raise ValueError(f"rng is {rng}; {_SEED}.")
    return int(rng)


def generator_of(rng: Any) -> np.random.Generator:
    """A generator from whatever `numpy.random.default_rng` takes."""
    try:
        if isinstance(rng, bool):
            raise TypeError
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise type(error)(f"rng is {rng!r}; {_SEED}.") from error


def constants_of(constants: Any) -> dict[str, float]:
    """The user's numbers by their names; none is an empty dict."""
    if constants is None:
        return {}
    if not isinstance(constants, Mapping):
        raise TypeError(f'constants is {described(constants)}; need a dict of names and numbers, {{"batch size": 32}}.')
    return {str(name): _constant(name, value) for name, value in constants.items()}


def _constant(name: Any, value: Any) -> float:
    number = value.item() if isinstance(value, np.ndarray | np.generic) and value.shape == () else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"constants[{name!r}] is {value!r}; need a number, because derivatives are compared with it.")
    if not math.isfinite(_as_float(number)):
        raise ValueError(f"constants[{name!r}] is {value!r}; need a finite number: leave it out.")
    return float(number)


def require_tuple(args: Any) -> None:
    """Raise unless the extra arguments are a tuple."""
    if not isinstance(args, tuple):
        raise TypeError(f"args is {described(args)}; need a tuple, args=(data,) for a single argument.")
