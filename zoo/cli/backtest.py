"""Forecast from every origin of a run's test part, or from every S-th; with --refit, as if trained anew as time went on.

    python -m zoo backtest runs/<a run>                 each origin: the figures of its test, by series, channel and step
    python -m zoo backtest runs/<a run> --every 24      every 24th
    python -m zoo backtest runs/<a run> --refit 4       before each quarter of the test part a model trained from scratch

A model folder is enough where its card says on what data it was tested; --data says where a table of your own lies.
Into RUN/backtest, or of a model folder into backtest-<its name>: errors.csv, a row a series, channel and step; backtest.png.
Figures are of values z-scored by the training rows of the run, also those of models that were trained on more.
"""

import argparse
from pathlib import Path
from typing import Any

from zoo.errors import ZooError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which run, from where, how often it is trained again."""
    parser.add_argument("run", metavar="RUN", help="a run's folder, a model folder, or the name of a model in a zoo")
    parser.add_argument(
        "--every", metavar="S", type=int, default=1, help="windows from one origin to the next (default 1)"
    )
    parser.add_argument(
        "--refit", metavar="K", type=int, help="train from scratch before each of K parts of the test part"
    )
    parser.add_argument("--data", metavar="FILE", help="of a run on a table of yours: where that lies now")
    parser.add_argument(
        "--trust",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="a package of your own that RUN's config may name",
    )


def run(options: argparse.Namespace) -> None:
    """Score, write, print."""
    for name in ("every", "refit"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise ZooError(f"--{name} {value} is below 1; give a whole number from 1 on.")
    from zoo.reports import backtest
    from zoo.reports.of_run import of_run, settings_of

    model, data, config = of_run(options.run, options.data, options.trust)
    if not data.test_size:
        raise ZooError(f"{options.run} has no test part to forecast from (data.split); train it with one.")
    if options.every > data.test_size:
        raise ZooError(f"--every {options.every} is beyond the {data.test_size:,} windows of the test part; give less.")
    if options.refit is not None and "trainer" not in config:
        raise ZooError(
            f"--refit {options.refit} trains again, and a model folder does not say how; give its run's folder."
        )
    if options.refit is None:
        scored = backtest.backtest(model, data, options.every)
    else:
        settings, patience = settings_of(options.run, config, options.trust)
        scored = backtest.refitted(data, settings, options.refit, options.every, patience)
    _report(scored, data, options)


def _report(scored: Any, data: Any, options: argparse.Namespace) -> None:
    from zoo.console import table
    from zoo.inspect.series.backtests import plot_backtest
    from zoo.reports import backtest

    run = Path(options.run)
    folder = run / "backtest" if (run / "config.yaml").is_file() else Path(f"backtest-{run.name}")
    file = backtest.write_csv(scored, data, folder / "errors.csv")
    count = len(scored.origins)
    about = f"{count:,} origins of the test part" + (f", every {options.every}th" if options.every > 1 else "")
    about += f", {len(scored.folds)} refits" if scored.folds else ""
    about += f", data.eval_stride={data.eval_stride}" if data.eval_stride > 1 else ""
    rows = [
        (name, *(f"{value:.6g}" for value in (float(each.mse()), float(each.mae()), backtest.mase(each, data))))
        for name, each in scored.errors.items()
    ]
    table(rows, f"{about}; z-scored values", ("", "MSE", "MAE", "MASE"))
    if scored.folds:
        told = [
            (_said(each.first), f"{each.trained:,}", f"{each.windows:,}", f"{each.mse:.6g}") for each in scored.folds
        ]
        table(told, "trained from scratch before each", ("first row", "trained on rows", "origins", "MSE"))
    times, label = backtest.times(scored, data)
    cuts = [each.first for each in scored.folds]
    png = plot_backtest(scored.errors, times, label, cuts, folder / "backtest.png", f"backtest, {about}")
    print(file.absolute())
    print(png.absolute())


def _said(moment: Any) -> str:
    """A moment as a table says it."""
    return str(moment).replace("T", " ").removesuffix(".000000").removesuffix(":00")
