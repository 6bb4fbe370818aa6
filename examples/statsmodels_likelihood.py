"""The score of a likelihood written for statsmodels: counts of which the zeros were never recorded.

The model is a `GenericLikelihoodModel`; its methods `loglike` and `score` are plain Python, so the objective is a
`python_objective`: nothing is compiled. Needs statsmodels.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln
from statsmodels.base.model import GenericLikelihoodModel

import fastgrad


class TruncatedPoisson(GenericLikelihoodModel):
    """Poisson regression of counts from 1 on: P(y) = rate^y exp(-rate) / y! / (1 - exp(-rate))."""

    truncated = True

    def loglike(self, params):
        rate = np.exp(self.exog @ params)
        each = self.endog * np.log(rate) - rate - gammaln(self.endog + 1) - np.log1p(-np.exp(-rate))
        return float(np.sum(each))

    def score(self, params):
        rate = np.exp(self.exog @ params)
        residual = self.endog - rate
        if self.truncated:
            residual -= rate / np.expm1(rate)
        return residual @ self.exog


class WithBug(TruncatedPoisson):
    """Planted bug: the score of the Poisson law that is not truncated."""

    truncated = False


def model(kind: type[TruncatedPoisson] = TruncatedPoisson) -> TruncatedPoisson:
    rng = np.random.default_rng(0)
    exog = np.column_stack([np.ones(300), rng.normal(size=(300, 3))])
    counts = rng.poisson(np.exp(exog @ [0.5, 0.3, -0.2, 0.1]))
    return kind(counts[counts > 0], exog[counts > 0])


def check(kind: type[TruncatedPoisson] = TruncatedPoisson) -> fastgrad.GradientCheck:
    likelihood = model(kind)
    params = np.array([0.4, 0.2, -0.1, 0.3])
    return fastgrad.check_gradient(fastgrad.python_objective(likelihood.loglike), params, likelihood.score)


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bug", action="store_true", help="check the score with the planted bug instead")
    result = check(WithBug if parser.parse_args().bug else TruncatedPoisson)
    print(result)
    raise SystemExit(0 if result.passed else 1)
