"""How the weights of a model start."""

from torch import nn

from zoo.declared import declared


@declared
def xavier(module: nn.Module) -> None:
    """Xavier-uniform matrices, zero biases (Glorot and Bengio 2010): what small data sets need."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


@declared
def trunc_normal(module: nn.Module, std: float = 0.02) -> None:
    """Truncated normal matrices of deviation `std`, zero biases, as timm starts its ViTs."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=std)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


@declared
def normal(module: nn.Module, std: float = 0.02) -> None:
    """Normal matrices and embeddings of deviation `std`, zero biases, as GPT-2 and BERT start (Radford et al. 2019)."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=std)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
