"""Pictures of results, with matplotlib (``pip install matplotlib``).

Each function draws into the axes given, or into a new figure of 600 x 420 pixels, and returns the axes. Colours are
those of Okabe and Ito; what differs in colour differs in shape too.
"""

from fastgrad._plots.error import plot_error
from fastgrad._plots.gradient import plot_gradient
from fastgrad._plots.localisation import plot_localisation
from fastgrad._plots.sweep import plot_sweep
from fastgrad._plots.taylor import plot_taylor

__all__ = ["plot_error", "plot_gradient", "plot_localisation", "plot_sweep", "plot_taylor"]
