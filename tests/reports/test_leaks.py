"""Each guard holds for a plain forecaster, and catches a leak that is planted (E1, E2, E3, E5, bugs 1-5, 17, 18)."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import zoo
from tests.datamodules.series.tables import Frame, hourly
from zoo.api import config_of
from zoo.cli import main
from zoo.errors import ZooError
from zoo.inspect.series.errors import forecasts_of, measure
from zoo.layers.revin import RevIN
from zoo.models.fit import fit
from zoo.models.series.base import Forecast, Forecaster
from zoo.reports import leaks
from zoo.reports.leaks import of_figures, seen

L, H, C = 12, 4, 2


class Windows(torch.utils.data.Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, i):
        draw = torch.Generator().manual_seed(i)
        past, future = torch.randn(L, C, generator=draw), torch.randn(H, C, generator=draw)
        seen = torch.ones(L, C, dtype=torch.bool)
        return {
            "past_values": past,
            "future_values": future,
            "past_observed_mask": seen,
            "future_observed_mask": seen[:H],
        }


DATA = SimpleNamespace(test_size=40, modalities=("series",), test_dataloader=lambda: SimpleNamespace(dataset=Windows()))


class Plain(Forecaster):
    def __init__(self, channels=C):
        super().__init__(channels, L, H)
        self.revin, self.proj = RevIN(), nn.Linear(L, H)

    def forward(self, past_values, past_time_features=None, future_time_features=None, past_observed_mask=None, *_):
        normed, loc, scale = self.revin(past_values, past_observed_mask)
        raw = self.proj(self.seen(normed).transpose(1, 2)).transpose(1, 2)
        return Forecast(raw * scale + loc, loc=loc, scale=scale)

    def seen(self, normed):
        return normed


class ReadsTheFuture(Plain):
    def inputs(self, batch):
        return batch["past_values"] + 1e-3 * batch["future_values"].mean(), None, None, batch["past_observed_mask"]


class ReadsWhereItWasObserved(Plain):
    def inputs(self, batch):
        return batch["past_values"] * batch["future_observed_mask"].float().mean(), None, None, None


class MeanOfTheBatch(Plain):
    def seen(self, normed):
        return normed + 1e-3 * normed.mean(0)


class NormalisesTheBatch(Plain):
    """As batch norm in training mode would."""

    def seen(self, normed):
        return normed / (1 + normed.std(0, correction=0))


class DropsTheNewest(Plain):
    def seen(self, normed):
        return torch.cat([normed[:, :-1], torch.zeros_like(normed[:, :1])], 1)


class DrawsInEval(Plain):
    def seen(self, normed):
        return normed * (torch.rand(L, 1) < 0.5)


PLANTED = {
    ReadsTheFuture: {"what came is not read"},
    ReadsWhereItWasObserved: {"what came is not read"},
    MeanOfTheBatch: {"windows of a batch are apart"},
    NormalisesTheBatch: {"windows of a batch are apart"},
    DropsTheNewest: {"the newest value is read"},
    DrawsInEval: {"nothing is drawn in eval mode"},
}
MODEL_GUARDS = set().union(*PLANTED.values())


def broken(model, data=DATA):
    found = {name: leaks._tried(name, leaks.GUARDS[name], model, data) for name in MODEL_GUARDS}
    return {name: guard.broken for name, guard in found.items() if guard.broken}


def test_a_plain_forecaster_breaks_none():
    assert not broken(Plain())


@pytest.mark.parametrize("kind", PLANTED)
def test_each_guard_of_a_model_catches_a_planted_leak(kind):
    torch.manual_seed(0)
    assert PLANTED[kind] <= broken(kind()).keys()


def test_revin_alone_does_not_hide_that_the_newest_value_is_dropped():
    """Bug 18: through mean and deviation each value moves a forecast, also one that no patch holds."""
    model, batch = DropsTheNewest(), seen.some(DATA)
    other = {**batch, "past_values": batch["past_values"].clone()}
    other["past_values"][:, -1] += 1
    assert not torch.equal(seen.forecast(model, batch), seen.forecast(model, other))
    assert "the newest value is read" in broken(model)


def test_the_model_is_left_as_it_was():
    model = Plain().train()
    model.proj.eval()
    weights, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    broken(model)
    assert model.training and not model.proj.training
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


def test_other_models_and_data_are_refused():
    with pytest.raises(ZooError, match="looks at forecasters and series; got Linear"):
        leaks.check(nn.Linear(2, 2), DATA)
    with pytest.raises(ZooError, match="no test windows"):
        leaks.check(Plain(), SimpleNamespace(test_size=0, modalities=("series",)))


# ---- guards of data


class Leaky(Frame):
    """A set whose `finish` reads what it may not."""

    def finish(self, source):
        return super().finish(self.spoilt(source))

    def spoilt(self, table):
        return table


class Smoothed(Leaky):
    """A centred mean of the target before windows are cut."""

    def spoilt(self, table):
        a = table.numbers["a"]
        return replace(table, numbers={**table.numbers, "a": (a + np.roll(a, -1)) / 2})


class PastOfTomorrow(Leaky):
    def spoilt(self, table):
        return replace(table, numbers={**table.numbers, "p": np.roll(table.numbers["p"], -1)})


class ScaledByAll(Leaky):
    def spoilt(self, table):
        return replace(table, numbers={**table.numbers, "a": table.numbers["a"] / table.numbers["a"].std()})


class ValidatesOnTest(Frame):
    def dataset(self, stage):
        return super().dataset("test" if stage == "val" else stage)


class OverlappingParts(Frame):
    def finish(self, source):
        found = super().finish(source)
        return replace(
            found, origins={**found.origins, "train": torch.cat([found.origins["train"], found.origins["val"]])}
        )


DATA_GUARDS = {
    Smoothed: "later rows of the table are not read",
    PastOfTomorrow: "later rows of the table are not read",
    ScaledByAll: "the scaler knows training rows alone",
    ValidatesOnTest: "parts share no target row",
    OverlappingParts: "parts share no target row",
}
SETTINGS = {"lookback": L, "horizon": H, "targets": ["a", "b"], "past": ["p"], "split": [0.6, 0.2, 0.2]}


def table():
    frame = hourly(150)
    return frame.assign(p=frame["a"].rolling(3, min_periods=1).mean())


class WithPast(Plain):
    """Reads all that it is given, past-only columns too."""

    covariates = True

    def forward(self, past_values, time=None, later=None, seen=None, past_covariates=None, *_):
        return super().forward(past_values + past_covariates[..., :1], None, None, seen)


def broken_by_data(data):
    model = WithPast()
    found = {name: leaks._tried(name, leaks.GUARDS[name], model, data) for name in set(DATA_GUARDS.values())}
    return {name: guard.broken for name, guard in found.items() if guard.broken}


def test_plain_data_break_none():
    """Also with gaps, several series, of several lengths."""
    assert not broken_by_data(Frame.of(table(), **SETTINGS))
    holes = table().drop(index=[40, 41, 99, 130])
    holes.loc[60:64, "b"] = np.nan
    assert not broken_by_data(Frame.of(holes, gaps="mask", **SETTINGS))
    several = pd.concat([table().assign(id="x"), table().iloc[20:].assign(id="y")])
    assert not broken_by_data(Frame.of(several, id="id", **SETTINGS))


@pytest.mark.parametrize("kind", DATA_GUARDS)
def test_each_guard_of_data_catches_a_planted_leak(kind):
    """E3, E5, bug 3."""
    assert DATA_GUARDS[kind] in broken_by_data(kind.of(table(), **SETTINGS))


def test_the_data_are_left_as_they_were():
    data = Frame.of(table(), **SETTINGS)
    source, values = data.source, data.source.arrays.values.clone()
    broken_by_data(data)
    assert data.source is source and torch.equal(values, data.source.arrays.values) and data.batch_size == 64


# ---- the guard of figures


class DropsTheLastBatch(Frame):
    def test_dataloader(self):
        return DataLoader(self.dataset("test"), self.batch_size, drop_last=True)


class CountsTwice(Frame):
    """A loader that fills the last batch up with windows of before, as Lightning's sampler does."""

    def test_dataloader(self):
        return DataLoader(self.dataset("test"), self.batch_size, sampler=[*range(self.test_size), 0])


class MeanOfBatchMeans(Plain):
    """Scales a forecast by how many windows stand beside it: the figure depends on the batch."""

    def seen(self, normed):
        return normed * (1 + 0.1 * len(normed))


@pytest.mark.filterwarnings("ignore")
def test_the_guard_of_figures_catches_planted_leaks():
    """E1, bug 1."""
    guard, settings = leaks.GUARDS["each window counts once"], {**SETTINGS, "past": []}
    whole = Frame.of(table(), **settings)
    assert whole.test_size == 27
    assert "27 test windows" in guard(Plain(), whole)
    for kind, words in ((DropsTheLastBatch, "0 of 27"), (CountsTwice, "28 of 27")):
        with pytest.raises(seen.Broken, match=words):
            guard(Plain(), kind.of(table(), **settings))
    with pytest.raises(seen.Broken, match="depends on the batch"):
        guard(MeanOfBatchMeans(), whole)


@pytest.mark.parametrize("size", [32, 128, 512])
def test_what_dropping_the_last_short_batch_does_to_a_figure(size):
    """E1, bug 1: one model, one test part; the figure of a loader that drops depends on its batch, ours does not."""
    rows = 3000
    frame = hourly(rows, channels=1)
    frame["a"] += np.where(np.arange(rows) >= rows - 10, 20.0, 0.0)  # the newest windows are the hardest
    data = Frame.of(frame, lookback=L, horizon=H, split=[0.6, 0.2, 0.2], batch_size=size)
    assert data.test_size % size
    torch.manual_seed(0)
    model = Plain(channels=1)
    count, figure = of_figures.tested(model, data)
    whole = measure({"model": forecasts_of(model)}, data.dataset("test"))["model"]
    assert count == data.test_size and figure == pytest.approx(float(whole.mse()), rel=1e-5)
    kept = data.test_size // size * size
    dropped = float(whole.windows[:kept].mean())
    assert abs(dropped / figure - 1) > 0.02, f"{kept} of {count} windows: {dropped:.3f} for {figure:.3f}"


# ---- the models there are

SMALL = {"dim": 8, "num_heads": 2}
MODELS = {
    "patchtst": {**SMALL, "patch": 4, "stride": 2, "depth": 2, "hidden": 16},
    "informer": {**SMALL, "hidden": 16},
    "transformer": {**SMALL, "hidden": 16},
    "itransformer": {**SMALL, "hidden": 16, "depth": 2},
    "dlinear": {},
    "nlinear": {},
}


def made(name, data, **changes):
    """A model of this name that fits data, with weights of its own."""
    config = {**config_of(name), **MODELS[name], **changes}
    config = {key: value for key, value in config.items() if key != "num_classes"}
    torch.manual_seed(0)
    return zoo.build(fit(config, data.spec, 0))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_no_model_of_ours_leaks(name, channels, heads):
    """E1, E2, E3, E5, E12: also with one channel, one head, a batch of one."""
    data = Frame.of(hourly(140, channels), lookback=16, horizon=H, split=[0.6, 0.2, 0.2], batch_size=1)
    changes = {"num_heads": heads} if "num_heads" in MODELS[name] else {}
    found = leaks.check(made(name, data, **changes), data)
    assert len(found) == len(leaks.GUARDS) and not [(g.name, g.broken) for g in found if g.broken]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["patchtst", "informer"])
def test_models_that_read_exogenous_columns_do_not_leak(name):
    frame = table().assign(u=np.arange(150) % 7, kind="hill")
    several = pd.concat([frame.assign(id="x"), frame.iloc[5:].assign(id="y", kind="sea")])
    roles = {"targets": ["a", "b"], "past": ["p"], "future": ["u"], "static": ["kind"], "id": "id"}
    data = Frame.of(several, lookback=16, horizon=H, split=[0.6, 0.2, 0.2], **roles)
    assert not [(g.name, g.broken) for g in leaks.check(made(name, data), data) if g.broken]


# ---- the command


def test_the_command_prints_a_line_a_guard(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hourly(200, 2).to_csv("my.csv", index=False)
    words = ["model=dlinear", "data=csv", "data.path=my.csv", "data.time=time", "data.lookback=16", "data.horizon=4"]
    assert main(["report", "leaks", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("leaks: DLinear, untrained, on Csv: ")
    assert [line.split()[0] for line in lines[1:]] == ["ok"] * len(leaks.GUARDS)
    assert all(name in line for name, line in zip(leaks.GUARDS, lines[1:], strict=True))

    def planted(model, data):
        raise seen.Broken("the future moved the forecast")

    monkeypatch.setitem(leaks.GUARDS, "what came is not read", planted)
    assert main(["report", "leaks", *words]) == 1
    out = capsys.readouterr().out
    assert "BROKEN  what came is not read" in out and "the future moved the forecast" in out


def test_the_command_refuses_other_kinds(capsys):
    assert main(["report", "leaks", "model=vit", "data=digits"]) == 2
    assert "looks at forecasters and series" in capsys.readouterr().err
    for words in (["run=nothing"], ["run=nothing", "trust=mypackage"]):
        assert main(["report", "leaks", *words]) == 2
        assert "has no config.yaml" in capsys.readouterr().err
