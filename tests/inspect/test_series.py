"""Errors by step and channel against brute force; axes that say what is on them; figures of odd sizes."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import zoo
from tests.datamodules.series.tables import Frame, hourly
from zoo.api import config_of
from zoo.callbacks.series import begins
from zoo.inspect.plots import new_figure
from zoo.inspect.series.answers import plot_answers
from zoo.inspect.series.backtests import plot_backtest
from zoo.inspect.series.errors import Errors, batches, forecasts_of, measure, notable
from zoo.inspect.series.looks import Axis, Map, by_kind, maps_of, plot_maps, read, ticks
from zoo.inspect.series.plots import Window, draw_window, plot_calibration, plot_errors, plot_forecasts
from zoo.models.fit import fit, label

SMALL = {"dim": 8, "num_heads": 2}
MODELS = {
    "patchtst": {**SMALL, "patch": 4, "stride": 2, "depth": 2, "hidden": 16},
    "informer": {**SMALL, "hidden": 16},
    "itransformer": {**SMALL, "hidden": 16, "depth": 2},
    "dlinear": {},
}


def data(channels=3, **more):
    return Frame.of(hourly(150, channels), **{"lookback": 16, "horizon": 4, "split": [0.6, 0.2, 0.2], **more})


def made(name, source, **changes):
    config = {**config_of(name), **MODELS[name], **changes}
    torch.manual_seed(0)
    return zoo.build(fit({k: v for k, v in config.items() if k != "num_classes"}, source.spec, 0)).eval()


def test_errors_are_those_of_brute_force_over_observed_cells():
    draw = torch.Generator().manual_seed(0)
    made, true = torch.randn(2, 9, 4, 3, generator=draw).double()
    seen, group = torch.rand(9, 4, 3, generator=draw) < 0.7, torch.randint(2, (9,), generator=draw)
    seen[4] = False
    errors = Errors(2, 4, 3)
    for rows in (slice(0, 5), slice(5, 9)):
        errors.add(made[rows], true[rows], seen[rows], group[rows])
    wrong = (made - true).where(seen, torch.nan).numpy()
    np.testing.assert_allclose(errors.mse(), np.nanmean(wrong**2))
    np.testing.assert_allclose(errors.mae(1), np.nanmean(abs(wrong), (0, 2)))
    np.testing.assert_allclose(errors.mse(2), np.nanmean(wrong**2, (0, 1)))
    for g in (0, 1):
        np.testing.assert_allclose(errors.mae(0, 1, 2)[g], np.nanmean(abs(wrong[group.numpy() == g]), 0))
    assert errors.windows[4].isnan() and len(errors.windows) == 9
    np.testing.assert_allclose(errors.windows[0], np.nanmean(wrong[0] ** 2))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_is_measured_does_not_depend_on_the_batch(size):
    source = data()
    model = made("dlinear", source)
    found = measure({"model": forecasts_of(model)}, source.dataset("test"), size=size)["model"]
    whole = measure({"model": forecasts_of(model)}, source.dataset("test"))["model"]
    torch.testing.assert_close(found.windows, whole.windows, rtol=1e-5, atol=1e-7)
    assert len(found.windows) == source.test_size


def test_notable_windows():
    assert notable(torch.tensor([2.0, torch.nan, 0.5, 3.0, 1.0])) == {
        "first": 0, "last": 4, "best": 2, "median": 0, "worst": 3,
    }  # fmt: skip
    assert notable(torch.tensor([torch.nan])) == {"first": 0, "last": 0}


def window_of(source):
    return next(batches(source.dataset("test"), [0]))


def test_maps_of_channels_apart_are_one_a_channel_with_patches_on_both_axes():
    """Rows of the record are b * C + c."""
    source = data()
    model = made("patchtst", source)
    _, recorded = read(model, window_of(source))
    maps = maps_of(model, recorded, ["x", "y", "z"])
    spans = model.patches()
    assert [each.title.partition("\n")[0] for each in maps] == ["x", "y", "z"]
    for c, each in enumerate(maps):
        torch.testing.assert_close(each.weights, recorded["blocks.1.attn"][c])
        torch.testing.assert_close(each.weights.sum(-1), torch.ones(each.weights.shape[:2]))
        assert each.queries == each.keys and len(each.keys.names) == len(spans)
    first, last = maps[0].keys.names[0], maps[0].keys.names[-1]
    assert first == "-15 ... -12" and last.endswith(" ... 0") and maps[0].keys.what == "patches, by their steps"


def test_mixed_channels_have_a_map_of_their_own():
    source = data()
    model = made("patchtst", source, mix_channels=True)
    _, recorded = read(model, window_of(source))
    kinds = by_kind(model, recorded, ["x", "y", "z"])
    axes = [maps[0].keys.what for maps in kinds.values()]
    assert "channels" in axes and "patches, by their steps" in axes


def test_a_token_a_channel():
    source = data()
    model = made("itransformer", source, time_features=0)
    (one,) = maps_of(
        model, read(model, {k: v for k, v in window_of(source).items() if "time" not in k})[1], ["x", "y", "z"]
    )
    assert one.keys == Axis("channels", ["x", "y", "z"]) == one.queries


def test_steps_of_encoder_and_decoder():
    source = data()
    model = made("informer", source)
    kinds = by_kind(model, read(model, window_of(source))[1], ["x", "y", "z"])
    start = Axis("steps of start and horizon", [str(i) for i in range(-7, 5)])
    halved = Axis("lookback, 2 steps each", [str(i) for i in range(-14, 2, 2)])
    assert {name: (maps[0].queries, maps[0].keys) for name, maps in kinds.items()} == {
        "encoder.1.attn": (halved, halved),
        "decoder.0.self attn": (start, start),
        "decoder.0.cross attn": (start, halved),
    }


def test_a_model_without_attention_says_so():
    source = data()
    model = made("dlinear", source)
    assert read(model, window_of(source))[1] == {}
    with pytest.raises(zoo.errors.ZooError, match="DLinear has no attention to draw"):
        maps_of(model, {}, ["x"])


def test_names_on_an_axis_are_few():
    places, names = ticks(Axis("steps", list(map(str, range(100)))))
    assert len(places) <= 9 and places[-1] == 99 and names[-1] == "99"
    assert {b - a for a, b in pairwise(places)} == {12}  # equally far apart
    assert ticks(Axis("channels", ["a" * 40])) == ([0], ["a" * 15 + "…"])


@pytest.mark.parametrize(("horizon", "channels"), [(1, 1), (3, 9), (200, 2)])
def test_figures_of_odd_sizes(tmp_path, horizon, channels):
    history, future = torch.randn(30, channels), torch.randn(horizon, channels)
    history[5:9], names = torch.nan, [f"$c_{i}" for i in range(channels)]
    one = Window("best", history, future, future + 1, future - 1, future + 2)
    bare = Window("worst", history, None, future)
    step = torch.rand(horizon)
    map_ = Map("blocks.1.attn", torch.rand(1, 3, 5), Axis("patches", list("abc")), Axis("channels", list("uvwxy")))
    errors = Errors(1, horizon, channels)
    errors.add(future[None], future[None] + 1, torch.ones(1, horizon, channels, dtype=torch.bool))
    files = [
        plot_forecasts([one, bare], names, tmp_path / "a.png", "title"),
        plot_errors(
            {"linear": (step, step), "model": (step, step)},
            tmp_path / "b.png",
            "title",
            dict.fromkeys(("linear", "model"), (1, 2)),
        ),
        plot_calibration(torch.tensor([0.1, 0.9]), torch.tensor([0.2, 0.8]), step, tmp_path / "c.png", "title"),
        plot_maps([map_] * 6, tmp_path / "d.png", "title"),
        plot_answers([(bare, "a", 0, {"attn": [map_]}), (one, "b", 0, {})], tmp_path / "e.png", 3),
        plot_backtest({"model": errors}, np.array([3]), "row", [2], tmp_path / "f.png", "title"),
    ]
    for file in files:
        with Image.open(file) as image:
            assert min(image.size) > 200


def test_exogenous_columns_are_named():
    frame = hourly(150, 2).assign(u=np.arange(150) % 7, p=np.arange(150) % 5, size=3.0, kind="hill")
    roles = {"targets": ["a", "b"], "past": ["p"], "future": ["u"], "static": ["size", "kind"]}
    source = Frame.of(frame, lookback=16, horizon=4, split=[0.6, 0.2, 0.2], **roles)
    model = made("informer", source)
    label(model, source.spec)
    kinds = by_kind(model, read(model, window_of(source))[1], ["a", "b"])
    assert kinds["encoder.1.cross attn"][0].keys == Axis("exogenous columns", ["p", "u", "kind", "size"])
    assert kinds["decoder.0.cross attn"][0].keys.what == "lookback, 2 steps each"


def test_patches_of_exogenous_columns_are_named_by_column_and_last_step():
    """Issue 10, 11: patches, steps or channels on both axes."""
    frame = hourly(150, 2).assign(u=np.arange(150) % 7, p=np.arange(150) % 5, a_long_name=3.0, kind="hill")
    roles = {"targets": ["a", "b"], "past": ["p"], "future": ["u"], "static": ["a_long_name", "kind"]}
    source = Frame.of(frame, lookback=16, horizon=4, split=[0.6, 0.2, 0.2], **roles)
    model = made("patchtst", source, patch=8, stride=4)
    label(model, source.spec)
    kinds = by_kind(model, read(model, window_of(source))[1], ["a", "b"])
    (beside,) = (maps[0] for name, maps in kinds.items() if "exogenous" in name)
    assert beside.keys.what == "exogenous columns, by last step"
    assert beside.keys.names == ["p -8", "p 0", "u -8", "u 0", "u 4", "kind", "a_long_name"]
    assert beside.queries.what == "patches, by channel and last step"
    assert beside.queries.names == [f"{channel} {end}" for channel in "ab" for end in (-8, -4, 0, 0)]
    assert beside.weights.shape[1:] == (8, 7)


def test_an_axis_of_time_counts_as_the_maps_do():
    """0 is the last row that was read, the horizon 1 to H: in forecasts, errors by step and maps alike."""
    axes = new_figure(2, 2).subplots()
    draw_window(axes, Window("first", torch.randn(30, 1), torch.randn(4, 1), torch.randn(4, 1)), 0)
    assert [list(line.get_xdata()) for line in axes.lines[:3]] == [list(range(-23, 1)), [1, 2, 3, 4], [1, 2, 3, 4]]


def test_a_window_of_several_series_names_its_own():
    frame = pd.concat([hourly(150, 1).assign(id=name) for name in ("north", "south")], ignore_index=True)
    source = Frame.of(frame, lookback=16, horizon=4, split=[0.6, 0.2, 0.2], targets=["a"], id="id")
    windows = source.dataset("test")
    assert [begins(windows, i).partition(",")[0] for i in (0, len(windows) - 1)] == ["north", "south"]
