"""What pytest has to know before it looks for tests, and what several files share."""

import numba
import pytest

# Scripts that tests run as processes of their own; some limit or kill the process that imports them.
collect_ignore = ["hazards"]


@pytest.fixture(scope="module")
def serial():
    """For files about numbers and verdicts, which are the same on any number of threads (test_kernels, test_gradient).

    A parallel launch waits until all its threads have run, and on a busy machine that takes longer than the work.
    """
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(threads)


@pytest.fixture
def all_threads():
    """For a test about threads in such a file."""
    threads = numba.get_num_threads()
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
    yield
    numba.set_num_threads(threads)
