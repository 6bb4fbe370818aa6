"""The command line of the examples: check the gradient, or save the input files for ``fastgrad check``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastgrad

EXIT_CODES = {
    fastgrad.Verdict.MATCH: 0,
    fastgrad.Verdict.MISMATCH: 1,
    fastgrad.Verdict.INCONCLUSIVE: 2,
}


def main(f: Callable, gradient: Callable, gradient_with_bug: Callable, problem: Callable) -> None:
    """Check the gradient of `f` at the point of `problem`, print the result and exit by its verdict."""
    parser = argparse.ArgumentParser(description="Check the hand-written gradient of this example.")
    parser.add_argument("--bug", action="store_true", help="check the gradient with the planted bug instead")
    parser.add_argument("--save", type=Path, metavar="DIR", help="only write DIR/x.npy and DIR/args.npz")
    options = parser.parse_args()

    x, args = problem()
    if options.save:
        save(options.save, x, args)
        raise SystemExit(0)
    result = fastgrad.check_gradient(f, x, gradient_with_bug if options.bug else gradient, args=args)
    print(result)
    raise SystemExit(EXIT_CODES[result.verdict])


def main_of_check(check: Callable, right: Callable, with_bug: Callable) -> None:
    """Run a check of another kind, print the result and exit by its verdict."""
    parser = argparse.ArgumentParser(description="Check the hand-written derivatives of this example.")
    parser.add_argument("--bug", action="store_true", help="check those with the planted bug instead")
    result = check(with_bug if parser.parse_args().bug else right)
    print(result)
    raise SystemExit(EXIT_CODES[result.verdict])


def save(folder: Path, x: np.ndarray, args: tuple[Any, ...]) -> None:
    """Write ``x.npy`` and, when there are arguments, ``args.npz`` with the arguments in their order."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "x.npy", x)
    if args:
        np.savez(folder / "args.npz", *args)
