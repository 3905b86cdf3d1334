"""The config: the paper's values, checked on creation."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest

from esam_fast import EmrConfig, EsamConfig, MmgConfig, SuperpixelConfig, UsrConfig


def test_the_papers_values() -> None:
    config = EsamConfig()
    assert (config.mmg.points_per_side, config.mmg.theta_o, config.mmg.gamma_o) == (32, 0.8, 0.6)
    assert (config.emr.points_per_side, config.emr.delta, config.emr.tau) == (64, 0.05, 0.1)
    assert config.usr.rho == 0.1
    assert (config.superpixels.scale, config.superpixels.sigma, config.superpixels.min_size) == (100, 0.8, 50)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MmgConfig(theta_o=1.5), "theta_o must lie in"),
        (lambda: MmgConfig(gamma_o=-0.1), "gamma_o must lie in"),
        (lambda: MmgConfig(points_per_side=0), "points_per_side must be at least 1"),
        (lambda: MmgConfig(score_threshold=float("nan")), "score_threshold must be finite"),
        (lambda: EmrConfig(delta=float("nan")), "delta must lie in"),
        (lambda: EmrConfig(score_margin=-0.1), "score_margin must be at least 0"),
        (lambda: EmrConfig(top_k=0), "top_k must be at least 1"),
        (lambda: EmrConfig(tau=float("inf")), "tau must be at least 0"),
        (lambda: UsrConfig(rho=2), "rho must lie in"),
        (lambda: SuperpixelConfig(method="quick"), "method must be one of felzenszwalb, slic, got 'quick'"),
        (lambda: SuperpixelConfig(max_side=0), "max_side must be at least 1"),
        (lambda: EsamConfig(min_area=-1), "min_area must be at least 0"),
    ],
)
def test_out_of_range(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MmgConfig(points_per_side=2.5), "points_per_side must be a whole number, got float"),
        (lambda: MmgConfig(enabled=1), "enabled must be True or False, got int"),
        (lambda: MmgConfig(theta_o="0.5"), "theta_o must be a number, got str"),
        (lambda: MmgConfig(n_t=None), "n_t must be a number, got NoneType"),
        (lambda: EmrConfig(votes_per_cell=True), "votes_per_cell must be a whole number, got bool"),
        (lambda: EmrConfig(score_margin="none"), "score_margin must be a number, got str"),
        (lambda: EsamConfig(min_area=True), "min_area must be a whole number, got bool"),
        (lambda: EsamConfig(mmg={"theta_o": 0.7}), "mmg must be a MmgConfig, got dict"),
        (lambda: EsamConfig(emr=MmgConfig()), "emr must be an EmrConfig, got MmgConfig"),
    ],
)
def test_wrong_types(make: object, message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        make()  # type: ignore[operator]


def test_numbers_become_pythons_own() -> None:
    config = MmgConfig(points_per_side=np.int64(8), theta_o=np.float32(0.5), gamma_o=1, score_threshold=np.float64(2))
    assert [type(getattr(config, f.name)) for f in fields(config)] == [bool, int, *[float] * 5, type(None)]
    assert config == MmgConfig(points_per_side=8, theta_o=0.5, gamma_o=1.0, score_threshold=2.0)
    assert EmrConfig(score_margin=None).score_margin is None


def test_configs_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        EsamConfig().min_area = 3  # type: ignore[misc]


@pytest.mark.parametrize("cls", [EsamConfig, MmgConfig, EmrConfig, UsrConfig, SuperpixelConfig])
def test_every_field_is_documented(cls: type) -> None:
    documented = re.findall(r"^ +(\w+): ", cls.__doc__, re.MULTILINE)  # of any depth: Python 3.13 strips indentation
    assert {f.name for f in fields(cls)} <= set(documented)
