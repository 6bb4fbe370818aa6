"""Functions of the user: what the signature calls them, whether their parameters fit, and how they are called.

Their own exceptions arrive as they are, with a note that says which function was called, and how.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastgrad import _threads

ONE_FLOAT, FLOATS = "one float", "an array of floats"


@dataclass(frozen=True)
class Named:
    """A function, what the signature calls it, and what it has to return.

    Equal if the functions are, so that a cache of compiled code keeps a function once, whatever it is called.
    """

    function: Any
    name: str = field(compare=False)
    returns: str = field(default=FLOATS, compare=False)


def scalar_function(f: Any) -> Named:
    """A scalar objective, which is called f everywhere."""
    return Named(f, "f", ONE_FLOAT)


def call(function: Callable[..., Any], form: str, need: str, *arguments: Any) -> Any:
    """What a function of Python returns, called as `form` says: "gradient(x, *args)"; None is refused."""
    name = form.partition("(")[0]
    try:
        with _threads.calling(function):
            values = function(*arguments)
    except Exception as error:
        if isinstance(error, TypeError):
            require_fit(function, form, len(arguments))
        error.add_note(f"raised by {name}, called as {form}")
        raise
    if values is None:
        raise TypeError(
            f"{name} returned None; need {need}. If it fills an argument, wrap it in a function that allocates the "
            f"array, fills it and returns it."
        )
    return values


def require_fit(function: Any, form: str, count: int) -> None:
    """Raise if a function cannot be called as `form` says, with so many arguments in all."""
    function = getattr(function, "py_func", function)
    try:
        parameters = inspect.signature(function)
    except (TypeError, ValueError):  # of a built-in function
        return
    if takes(parameters, count):
        return
    name, _, inside = form.removesuffix(")").partition("(")
    own = f"{name} is {getattr(function, '__name__', type(function).__name__)}{parameters}"
    first, star, _ = inside.partition(", *args")
    if not star:
        raise TypeError(f"{own}, and would be called as {form}; need a function that takes this.") from None
    extra = count - len(first.split(", "))
    raise TypeError(
        f"{own}, and would be called with {first} and {extra} extra argument{'' if extra == 1 else 's'}; need the two "
        f"to fit: pass the rest of its arguments with args=(...)."
    ) from None


def takes(parameters: inspect.Signature, count: int) -> bool:
    """Whether so many positional arguments fit."""
    try:
        parameters.bind(*range(count))
    except TypeError:
        return False
    return True
