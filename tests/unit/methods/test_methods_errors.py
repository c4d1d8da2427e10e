"""What an estimator refuses, and that it says so in one line."""

from __future__ import annotations

import math
import re
from functools import partial

import pytest
import torch

from gapo_lab.methods import gapo, grpo, krpo, qae, window_size

TWO = (torch.tensor([0.0, 1.0]), torch.tensor([0, 0]))


@pytest.mark.parametrize("estimator", [grpo, gapo, krpo, qae])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_finite_names_the_group(estimator, bad):
    with pytest.raises(ValueError, match="group 17 holds the reward -?(nan|inf)"):
        estimator(torch.tensor([0.1, bad, 0.2]), torch.tensor([3, 17, 3]))


@pytest.mark.parametrize("tau", [0, -0.1, 1.5, math.nan, math.inf, "0.5", None, True])
def test_tau_outside(tau):
    with pytest.raises(ValueError, match=r"tau=.*\(0, 1\]"):
        gapo(*TWO, tau=tau)
    with pytest.raises(ValueError, match=r"tau=.*\(0, 1\]"):
        window_size(8, tau)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (partial(gapo, center="mode"), "center='mode'"),
        (partial(gapo, scale="mad"), "scale='mad'"),
        (partial(gapo, ddof=2), "ddof=2"),
        (partial(gapo, ddof=True), "ddof=True"),
        (partial(qae, quantile=0), "quantile=0"),
        (partial(qae, interpolation="cubic"), "interpolation='cubic'"),
        (partial(krpo, measurement_var=0), "measurement_var=0"),
        (partial(krpo, process_var=-1), "process_var=-1"),
    ],
)
def test_wrong_option(call, says):
    with pytest.raises(ValueError, match=f"^{re.escape(says)}") as error:
        call(*TWO)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("rewards", "groups"),
    [
        (torch.zeros(3), torch.zeros(2, dtype=torch.long)),
        (torch.zeros(2, 2), torch.zeros(2, 2, dtype=torch.long)),
        (torch.zeros(2, dtype=torch.long), torch.zeros(2, dtype=torch.long)),
        (torch.zeros(2), torch.zeros(2)),
    ],
)
def test_wrong_shapes_and_dtypes(rewards, groups):
    with pytest.raises(ValueError, match="must be"):
        gapo(rewards, groups)
