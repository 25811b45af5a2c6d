"""What every forecaster keeps: windows of its sizes, exogenous columns read or refused (E7)."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

import zoo
from tests.tasks.series import Straight
from zoo import packages
from zoo.errors import ZooError
from zoo.models.fit import fit
from zoo.models.series.base import INPUTS, Forecast, Forecaster
from zoo.models.series.heads import Normal, Quantile


@dataclass
class Said:
    """What SeriesSpec says, as far as a model asks."""

    modality = "series"
    preprocess: Any = None
    past: int = 0
    reals: int = 0

    def sizes(self):
        sizes = dict(channels=2, lookback=6, horizon=3, time_features=4, past_covariates=self.past, future_covariates=0)
        return {**sizes, "static_categories": (), "static_reals": self.reals}

    def usual(self):
        return {"season": 24}


CONFIG = {"_target_": "tests.tasks.series.Straight", "channels": None, "lookback": None, "horizon": None}


@pytest.fixture(autouse=True)
def own():
    with packages.trusting(("tests",)):
        yield


def test_the_data_decide_its_sizes():
    assert fit(CONFIG, Said(), 0) == {**CONFIG, "channels": 2, "lookback": 6, "horizon": 3}
    with pytest.raises(ZooError, match=r"model.horizon=5, but the data has 3"):
        fit({**CONFIG, "horizon": 5}, Said(), 0)


def test_e7_columns_that_it_does_not_read_are_refused_before_it_is_built():
    with pytest.raises(
        ZooError, match=r"Straight reads no exogenous columns, and the data has data.past, data.static; leave"
    ):
        fit(CONFIG, Said(past=2, reals=1), 0)
    named = Said(past=2, preprocess=type("Named", (), {"roles": {"past": ["wind", "rain"]}}))
    with pytest.raises(ZooError, match=r"the data has data.past=\['wind', 'rain'\]; leave them out"):
        fit(CONFIG, named, 0)
    model = Straight(2, 6, 3)
    with pytest.raises(ZooError, match="Straight reads no exogenous columns, and was given past_covariates"):
        model(torch.zeros(1, 6, 2), past_covariates=torch.zeros(1, 6, 1))


def test_inputs_of_a_batch_are_in_order_and_never_the_future():
    batch = {name: torch.full((1,), float(i)) for i, name in enumerate(INPUTS)}
    batch |= {"future_values": torch.zeros(1), "future_observed_mask": torch.zeros(1)}
    assert [float(x) for x in Forecaster(2, 6, 3).inputs(batch)] == list(range(len(INPUTS)))
    assert Forecaster(2, 6, 3).inputs({"past_values": 1})[1:] == (None,) * 7


def test_windows_of_other_sizes_are_refused():
    model = Straight(2, 6, 3, Quantile([0.1, 0.5, 0.9]))
    forecast = model(torch.zeros(4, 6, 2))
    assert (
        isinstance(forecast, Forecast) and forecast.mean.shape == (4, 3, 2) and forecast.quantiles.shape == (4, 3, 2, 3)
    )
    for wrong in (torch.zeros(4, 5, 2), torch.zeros(4, 6, 1), torch.zeros(6, 2)):
        with pytest.raises(ZooError, match=r"forecasts windows \[B, 6, 2\] \(lookback, channels\); got past_values"):
            model(wrong)
    with pytest.raises(ZooError, match="past_observed_mask is boolean"):
        model(torch.zeros(4, 6, 2), past_observed_mask=torch.ones(4, 6, 2))
    for sizes in ((0, 6, 3), (2, 6, 0)):
        with pytest.raises(ZooError, match="Sizes of a forecaster are positive; got"):
            Straight(*sizes)
    with pytest.raises(ZooError, match="is no head; take head=point"):
        Straight(2, 6, 3, "normal")


def test_it_says_what_it_is():
    model = Straight(1, 6, 3, Normal())
    assert model.describe() == {"window": "6 steps of 1 channel -> 3", "head": "Normal"}
    assert model.linear_head is model.proj and model.targets == "values" and model.num_classes == 0
    assert zoo.list_models() is not None
