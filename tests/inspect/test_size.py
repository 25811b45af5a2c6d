"""What a model costs, told from shapes."""

import torch
from torch import nn

from zoo.inspect.size import measure


class ViewOfAParameter(nn.Module):
    """A learned query that reaches a layer as a view, as in a Perceiver or a pooling by attention."""

    def __init__(self):
        super().__init__()
        self.query, self.map = nn.Parameter(torch.empty(4, 8)), nn.Linear(8, 2, bias=False)

    def forward(self, images):
        return self.map(self.query[None].expand(len(images), -1, -1))


def test_a_view_of_a_parameter_is_counted():
    """Under no_grad the counter fails on it: `zoo info` died half-way."""
    with torch.device("meta"):
        model = ViewOfAParameter()
    with torch.no_grad():
        size = measure(model, (3, 8, 8))
    assert size.parameters == 4 * 8 + 8 * 2 and size.flops == 2 * 4 * 8 * 2
    assert all(parameter.grad is None for parameter in model.parameters())
