"""`python -m zoo show`: every yaml there is can be drawn, and the matrix drawn is the one that attention uses."""

from pathlib import Path

import pytest
import torch
from matplotlib.text import Text
from PIL import Image

from zoo.attention import AttentionCall, Causal, GraphEdges, Prefix, TopK, Window
from zoo.inspect.draw.graph import points
from zoo.inspect.draw.pattern import allowed, draw
from zoo.inspect.draw.score import measured
from zoo.inspect.draw.sizes import Sizes

CONF = Path(__file__).parents[2] / "conf"
AXES = ("pattern", "score", "position")
PARTS = [f"{axis}={path.stem}" for axis in AXES for path in sorted((CONF / axis).glob("*.yaml"))]


@pytest.mark.parametrize("part", PARTS)
def test_every_yaml_is_drawn(zoo, part):
    code, out, err = zoo("show", part, "n=12")
    assert code == 0, err
    png = Path(out.strip())
    assert png == Path.cwd() / f"{part.replace('=', '-')}.png"
    with Image.open(png) as image:
        assert image.format == "PNG" and image.width > 400
        assert len(set(image.convert("L").get_flattened_data())) > 10  # something is on it
    assert [path.name for path in Path.cwd().iterdir()] == [png.name]  # and no half-written file beside it


def test_settings_reach_the_part(zoo):
    zoo("show", "pattern=window", "pattern.size=4", "out=a.png")
    zoo("show", "pattern=window", "model.attention.pattern.size=4", "out=b.png")
    zoo("show", "pattern=window", "out=c.png")
    a, b, c = (Path(f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


def test_several_parts_several_pictures(zoo, refused):
    code, out, _ = zoo("show", "pattern=causal", "score=dot", "n=6")
    assert code == 0 and [Path(line).name for line in out.split()] == ["pattern-causal.png", "score-dot.png"]
    assert "one file for 2 pictures" in refused("show", "pattern=causal", "score=dot", "out=x.png")


@pytest.mark.parametrize("pattern", [Causal(), Window(3), Causal() & Window(3), Causal() | Prefix(2)], ids=str)
def test_the_matrix_is_the_mask_of_attention(pattern):
    q = torch.zeros(1, 4, 9, 1)
    assert torch.equal(allowed(pattern, Sizes(n=9))[0], AttentionCall(q, q, q, pattern=pattern).mask()[0, 0])


def test_an_example_of_a_choice_by_content(zoo):
    """It chooses k keys, the same for one seed, others for another; along edges among those; and the picture says so."""
    first, again, other = (allowed(TopK(3), Sizes(n=9, seed=seed)) for seed in (0, 0, 1))
    assert (first.sum(-1) == 3).all() and torch.equal(first, again) and not torch.equal(first, other)
    _, edges = points(Sizes(n=9))
    graph, chosen = allowed(edges, Sizes(n=9)), allowed(edges & TopK(2), Sizes(n=9))
    assert (chosen.sum(-1) == 2).all() and not (chosen & ~graph).any()
    figure = draw(TopK(3), Sizes(n=9))
    said = " ".join(text.get_text() for text in figure.findobj(Text))
    assert "an example of its choice, with random queries and keys (seed=0)" in " ".join(said.split())


def test_the_matrix_of_edges_is_the_graph_beside_it():
    """A row is a target: it sees the three points that are nearest to it, and those it is joined to by `&` besides."""
    place, edges = points(Sizes(n=10))
    seen = allowed(GraphEdges().bind(edges), Sizes(n=10))[0]
    distance = torch.cdist(place, place).fill_diagonal_(9)
    assert seen.sum(1).tolist() == [3] * 10
    assert (distance.masked_fill(~seen, 0).amax(1) < distance.masked_fill(seen, 9).amin(1)).all()
    joined = allowed((GraphEdges() & Causal()).bind(edges), Sizes(n=10))[0]
    assert torch.equal(joined, seen.tril())


def test_a_joined_pattern_of_edges_is_drawn(zoo, own_conf):
    text = "_target_: zoo.attention.And\nleft: {_target_: zoo.attention.GraphEdges}\nright: {_target_: zoo.attention.Causal}\n"
    (own_conf / "pattern" / "mine.yaml").write_text(f"# @package model.attention.pattern\n{text}")
    assert zoo("show", "pattern=mine")[0] == 0


def test_the_example_does_not_change_and_rows_sum_to_one():
    from zoo.attention import ScaledDot

    first, second = (measured(ScaledDot(), Sizes()) for _ in range(2))
    assert torch.equal(first.weights, second.weights)
    torch.testing.assert_close(first.weights.sum(-1), torch.ones(1, 1, 16))


def test_a_score_that_only_weighs_otherwise_stands_beside_the_yardstick():
    """local-p: its logits are another score's, its weights are not and do not sum to 1; its sentence is longer than a line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from zoo.attention import LocalP, ScaledDot
    from zoo.inspect.draw.score import draw

    figure = draw(LocalP(32, score=ScaledDot()), Sizes())
    assert [axes.get_title() for axes in figure.axes[:2]] == ["ScaledDot: q.k / sqrt(D)", "LocalP "]
    assert [axes.get_ylabel() for axes in figure.axes if "weight" in axes.get_ylabel()] == [
        "weight (rows sum to 1)",
        "weight",
    ]
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    title = figure._suptitle.get_window_extent(canvas.get_renderer())
    assert title.x0 >= 0 and title.x1 <= figure.bbox.width


@pytest.mark.parametrize("n, grid", [(64, (8, 8)), (12, (3, 4)), (7, (1, 7))])
def test_any_number_of_tokens_makes_a_grid(n, grid):
    assert Sizes(n=n).grid == grid


def test_a_part_of_ones_own_is_drawn(zoo, own_conf):
    text = "# @package model.attention.pattern\n_target_: zoo.attention.Window\nsize: 3\n"
    (own_conf / "pattern" / "mine.yaml").write_text(text)
    assert zoo("show", "pattern=mine", "pattern.size=2")[0] == 0


@pytest.mark.parametrize("words, said", [
    (["pattern=windw"], "pattern=windw is unknown; did you mean 'window'?"),
    (["patern=window"], "did you mean 'pattern'?"),
    (["window"], "did you mean 'pattern=window'?"),
    (["pattern=window", "pattern.sze=3"], "did you mean 'size'?"),
    (["pattern=window", "+pattern.foo=3"], "pattern.foo=3 is not a setting of zoo.attention.Window"),
    (["pattern=window", "pattern.size=0"], "at least 1; got 0"),
    (["pattern=window", "score.temperature=2"], "score=<one of"),
    (["n=4"], "pattern=<one of"),
    (["pattern=window", "n=x"], "n=x is not a whole number"),
    (["pattern=window", "n=1"], "n=1 is too small"),
    (["pattern=window", "out=x.jpg"], "out=x.jpg is not a .png file"),
    (["position=rope", "head_dim=5"], "head_dim must be even; got 5"),
    (["position=laplacian", "n=5"], "5 nodes, so 4 eigenvectors"),
])  # fmt: skip
def test_bad_words(refused, words, said):
    assert said in refused("show", *words)
    assert list(Path.cwd().iterdir()) == []
