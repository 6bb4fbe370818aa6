"""What a check costs beyond the evaluations of f themselves."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.objectives import STEP, evaluate_rosenbrock, iterated, make_load, prepared_kernel, rosenbrock
from fastgrad import check_gradient, numerical_gradient
from fastgrad._first import all_differences
from fastgrad._inputs import point_array
from fastgrad._objective import prepare
from fastgrad._schedule import Evaluator

_SIZES = {1e-6: 100_000, 1e-5: 10_000, 1e-4: 1000}  # 0.2 s of evaluations on one thread


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("seconds", _SIZES)
@pytest.mark.parametrize("verb", [numerical_gradient, check_gradient])
def test_overhead(comparison, verb, seconds, threads):
    """t_check / (2 n t_f / threads), t_f from a compiled loop over f on one thread.

    At a step of 1e-5 no component needs a closer look: at 1e-7 the noise hides that most of 1e5 components are zero.
    """
    load = make_load(seconds, _SIZES[seconds])
    gradient = () if verb is numerical_gradient else (load.gradient,)

    def ours():
        return verb(iterated, load.x, *gradient, epsilon=1e-5, args=load.args, threads=threads)

    comparison.run(ours, load.loop(1), load.loop(threads), rounds=7)
    name = f"{verb.__name__}, f of {seconds * 1e6:.0f} us, {threads} thread{'s' * (threads > 1)}"
    comparison.record(f"{name}: t_check / (2 n t_f / threads)", threads * comparison.ratio(0), 1.05)
    if threads > 1:
        comparison.record(f"{name}: against the same loop on {threads} threads at once", comparison.ratio(1))


@pytest.mark.parametrize(("threads", "reach"), [(1, 1.0), (2, 3.0)])
def test_launch(comparison, threads, reach):
    """One launch of a prepared kernel, n = 2, less its four evaluations."""
    count = 500
    launch, differences, _owner = prepared_kernel(rosenbrock, np.array([0.5, -0.3]), (), threads)

    def launches():
        for _ in range(count):
            launch()

    comparison.run(launches, rounds=20)
    assert np.isfinite(differences).all()
    route = "serial" if threads == 1 else "parallel"
    comparison.record(
        f"launch of a prepared kernel, n = 2, {route}", comparison.seconds() / count * 1e6, reach, unit="us"
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_short_objective(comparison, threads):
    """f of about 100 ns, n = 100: 20 us of work, by a prepared kernel and by a whole call."""
    count = 100
    x = np.linspace(-1.5, 1.3, 100)
    launch, _differences, _owner = prepared_kernel(rosenbrock, x, (), threads)

    def launches():
        for _ in range(count):
            launch()

    def calls():
        for _ in range(count):
            numerical_gradient(rosenbrock, x, threads=threads)

    def loop():
        evaluate_rosenbrock(x.copy(), count * 2 * x.size)

    comparison.run(launches, loop, calls, rounds=20)
    name = f"f of 100 ns, n = 100, {threads} thread{'s' * (threads > 1)}"
    comparison.record(f"{name}: prepared kernel / (2 n t_f / threads)", threads * comparison.ratio(0), 1.2)
    whole = threads * comparison.ratio(0) / comparison.ratio(1)
    comparison.record(f"{name}: numerical_gradient / (2 n t_f / threads)", whole, 3.0)


@pytest.mark.parametrize("threads", [1, 2])
def test_plain_pass(comparison, threads):
    """The first pass of check_gradient against a bare launch of the kernel with two evaluations per coordinate."""
    load = make_load(1e-6, 20_000)
    launch, _differences, _owner = prepared_kernel(iterated, load.x, load.args, threads)
    point = point_array(load.x)
    evaluator = Evaluator(prepare(iterated, point, load.args), point, threads=threads, seconds=1e-6)
    steps, gradient = np.full(point.size, STEP), load.gradient
    value = iterated(load.x, *load.args)

    def first_pass():
        all_differences(evaluator, steps, None, value)

    def whole():
        check_gradient(iterated, load.x, gradient, args=load.args, threads=threads)

    comparison.run(first_pass, launch, whole, rounds=15)
    name = f"f of 1 us, n = 20000, {threads} thread{'s' * (threads > 1)}"
    comparison.record(f"{name}: plain pass / two-evaluation kernel", comparison.ratio(0), 1.1)
    comparison.record(f"{name}: plain pass / whole check_gradient", comparison.ratio(1))
