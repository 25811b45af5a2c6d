"""Draws docs/idea.png, the picture at the head of the README: python docs/draw_idea.py"""

from pathlib import Path

import torch
from matplotlib.figure import Figure

from zoo.attention import ALiBi, Causal, Full, Global, ScaledDot, Window, attend

N, D = 12, 16


def main() -> None:
    torch.manual_seed(3)
    steps = torch.randn(1, 1, N, D).cumsum(2) / 2  # neighbours resemble each other, as in text and pictures
    q = k = v = steps - steps.mean(2, keepdim=True)
    bias = ALiBi(1).bias(torch.arange(N), torch.arange(N)) * 40
    scores = ScaledDot().dense(q, k)[0, 0]
    pattern = Causal() & Window(6) | Global(1)
    panels = [
        ("score", "how is a query compared\nwith a key?", scores, "RdBu_r"),
        ("+ position", "how does where enter?", bias[0, 0], "Purples_r"),
        ("pattern", "which keys may it see?", _mask(pattern), "Greens"),
        (
            "= weights",
            "softmax of what is left;\nthen the mean of the values",
            _weights(q, k, v, pattern, bias),
            "Blues",
        ),
    ]
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    for axes, (title, question, picture, colours) in zip(figure.subplots(1, 4), panels, strict=True):
        axes.imshow(picture, cmap=colours)
        axes.set_title(title, fontsize=14, fontweight="bold")
        axes.set_xlabel(f"keys\n\n{question}", fontsize=10)
        axes.set_xticks([]), axes.set_yticks([])
    figure.axes[0].set_ylabel("queries")
    figure.savefig(Path(__file__).with_name("idea.png"), dpi=110)


def _mask(pattern):
    q = torch.zeros(1, 1, N, D)
    return (attend(q, q, q, pattern=pattern & Full(), need_weights=True).weights[0, 0] > 0).float()


def _weights(q, k, v, pattern, bias):
    return attend(q, k, v, pattern=pattern, bias=bias, need_weights=True).weights[0, 0]


if __name__ == "__main__":
    main()
