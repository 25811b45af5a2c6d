"""What every model says of itself; tasks, figures and commands ask this, and no model by its name."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from torch import nn

from zoo.errors import ZooError
from zoo.graphs import GraphPreprocess
from zoo.models import examples
from zoo.models.examples import Draw
from zoo.preprocess import Preprocess
from zoo.series import SeriesPreprocess

#: What a command line says where no position was chosen.
NO_POSITION = "zoo.attention.Position"
#: How inputs of a modality were prepared.
Prepared = Preprocess | SeriesPreprocess | GraphPreprocess


@dataclass(frozen=True)
class Origin:
    """Where a model's weights come from.

    source: as `zoo.load` and `init=` take it; None where no place holds them as they are, as those of a part alone or those
    that an adapter was merged into. changed: names of tensors that are not as they are there. new: those among them that
    started anew, as a classifier of other classes.
    """

    source: str | None
    changed: frozenset[str] = frozenset()
    new: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Trunk:
    """A part of a model that is a model of another kind, which weights of one of these can start (init=).

    Args:
        name: of the part.
        kind: its class.
        settings: what the whole is given for it, by the names that its own constructor has for them.
        ends: its parts behind which others stand here, or none.
    """

    name: str
    kind: type[nn.Module]
    settings: tuple[str, ...]
    ends: tuple[str, ...] = ()


class Model(nn.Module):
    """Base class. A model names what it reads, and has a `forward` and a `num_classes`; all else has a default.

    Attributes:
        reads: the modalities that it reads, a name of `zoo.spec` each: ("image",), or several where it takes several at
            once, as a captioner does.
        num_classes: numbers it gives a row; 0: features alone.
        config: plain, with a `_target_`, to build it from again (set by `zoo.build`).
        preprocess: how its images, series or graphs were prepared; None where nobody has told, or it reads none.
        classes: names of its outputs, in order; None where nobody has told, or they are no classes.
        grid: (rows, cols) of its patches, where tokens are patches of an image; else None.
        num_prefix_tokens: tokens before the patches (class, registers).
        has_class_token: whether the first of them is a class token.
        targets: what its outputs are for: "class", "labels", "numbers", "tokens", "tags", "span" or "values"
            (zoo.spec.TARGETS).
        tokenizer: between text and ids (`zoo.text.Tokenizer`); None where nobody has told, or it reads no text.
        source_tokenizer: of what a model of pairs reads; its `tokenizer` where it has no other. None of other models.
        origin: where its weights come from; None where they started at random, or nobody has told.
        adapter: what `zoo.adapt` has put on it, see `zoo.adapters.Adapter`; else None.
        converted_from: the class of transformers that it was converted from, "LlamaForCausalLM"; else None.
    """

    reads: ClassVar[tuple[str, ...]] = ()
    #: Parts at the end that another task has others of; weights of one task start another without them.
    heads: ClassVar[tuple[str, ...]] = ()
    #: Parts whose sizes are the data's: where these differ, weights start another model without the maps among them, and with
    #: positions among them read off at other places.
    of_data: ClassVar[tuple[str, ...]] = ()
    #: Settings that the task or the command line decides, whatever the source of the weights was trained for.
    of_task: ClassVar[tuple[str, ...]] = ()
    #: The part of it that weights of another kind of model can start; None: there is none.
    trunk: ClassVar[Trunk | None] = None
    #: What its config says of its parts where nothing was chosen; else a part is swapped on trained weights too (init=).
    usual: ClassVar[Mapping[str, str | None]] = MappingProxyType(
        {"score": "zoo.attention.ScaledDot", "pattern": "zoo.attention.Full", "kernel": None, "position": None}
    )

    num_classes: int
    config: dict[str, Any] | None = None
    preprocess: Prepared | None = None
    classes: tuple[str, ...] | None = None
    targets: str = "class"
    tokenizer: Any = None
    source_tokenizer: Any = None
    grid: tuple[int, int] | None = None
    num_prefix_tokens: int = 0
    has_class_token: bool = False
    origin: Origin | None = None
    adapter: Any = None
    converted_from: str | None = None

    @classmethod
    def complete(cls, config: dict[str, Any]) -> dict[str, Any]:
        """A config that holds the data's sizes, with what the model decides by them in place of its nulls."""
        return config

    @classmethod
    def check_data(cls, config: Mapping[str, Any], spec: Any) -> None:
        """Refuse data (`zoo.spec.Spec`) of which it would leave out a part. Raises: ZooError naming it."""

    def inputs(self, batch: Any) -> tuple[Any, ...]:
        """What `forward` takes of a batch; by default the first part of (inputs, targets)."""
        return (batch[0],)

    def example(self, draw: Draw) -> Any:
        """A small batch of its kind, for probes and exports (zoo.pretrained.probe): `inputs` takes it. Define it in a family of
        a kind of your own.

        Args:
            draw: what its numbers are drawn from, so that a seed means one batch.
        """
        raise NotImplementedError(f"{type(self).__name__} has no example(draw)")

    @property
    def renewed(self) -> tuple[str, ...]:
        """Parts, by their names in it, that begin anew as a whole where weights that start it have others of them: they are of
        the data's classes or columns, and have no place in `heads` or `of_data`."""
        return ()

    @property
    def linear_head(self) -> nn.Linear | None:
        """The linear map at the end, which `finetune=linear_probe` trains; None where the end is something else."""
        head = self._modules.get("head")
        return head if isinstance(head, nn.Linear) else None

    def embeddings(self) -> dict[str, nn.Embedding]:
        """Embeddings of tokens, of each side that it reads or says them on: what `model.embedding=` starts from vectors."""
        return {}

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that weight decay leaves alone beside biases and norms, such as positions."""
        return set()

    def layer_groups(self) -> list[list[str]] | None:
        """Names of all parameters, input to output, for layer-wise learning rates; None where layers have no order."""
        return None

    def set_grad_checkpointing(self, on: bool = True) -> None:
        """Recompute activations in the backward pass instead of keeping them. Raises: ZooError where it cannot."""
        if on:
            kind = type(self).__name__
            raise ZooError(f"{kind} has no set_grad_checkpointing(); set task.grad_checkpointing=false.")

    def describe(self) -> dict[str, str]:
        """What `zoo info` tells of it beside its sizes."""
        return {}


class ImageModel(Model):
    """A model of images [B, C, H, W]."""

    reads = ("image",)

    def example(self, draw: Draw) -> Any:
        return examples.images(self, draw)

    def describe(self) -> dict[str, str]:
        if self.grid is None:
            return {}
        return {"tokens": f"{self.grid[0]} x {self.grid[1]} patches + {self.num_prefix_tokens} before them"}


class GraphModel(Model):
    """A model of graphs. `inputs(data)` reads a PyTorch Geometric `Data` (or `HeteroData`).

    Attributes:
        in_dim: width of a node's features.
        edge_dim: width of an edge's features, 0: none are read.
        num_nodes: of a model that knows nodes by number, how many; else None.
        num_relations: of a model that reads `edge_type`, how many there are; else None.
        pools: whether a row is a graph, not a node.
        wants: what has to be computed with the graph for its position: {"laplacian": 8}.
    """

    reads = ("graph",)

    in_dim: int
    edge_dim: int = 0
    num_nodes: int | None = None
    num_relations: int | None = None
    pools: bool = False
    wants: Mapping[str, int] = MappingProxyType({})

    def example(self, draw: Draw) -> Any:
        return examples.graph(self, draw)


def in_groups(model: nn.Module, depth: int, first: Collection[str]) -> list[list[str]]:
    """Names of all parameters of a model with `blocks`, input to output: the modules named in `first`, each of `depth` blocks,
    then what follows."""
    groups: list[list[str]] = [[] for _ in range(depth + 2)]
    for name, _ in model.named_parameters():
        top, _, rest = name.partition(".")
        at = int(rest.split(".")[0]) + 1 if top == "blocks" else 0 if top in first else -1
        groups[at].append(name)
    return groups
