"""Names of models and what they stand for: plain configs, as a model folder's config.json holds them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

CONFIGS: dict[str, dict[str, Any]] = {}

#: width, depth, heads as in Dosovitskiy et al. 2021, table 1, and Touvron et al. 2021, table 1 (tiny, small)
WIDTHS = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}


def vit(img_size: int, patch_size: int, dim: int, depth: int, num_heads: int, **more: Any) -> dict[str, Any]:
    sizes = dict(img_size=img_size, patch_size=patch_size, dim=dim, depth=depth, num_heads=num_heads)
    return {"_target_": "zoo.models.vit.ViT", **sizes, **more}


for name, patch, size in (
    ("tiny", 16, 224), ("tiny", 16, 384), ("small", 16, 224), ("small", 16, 384), ("small", 32, 224), ("small", 32, 384),
    ("base", 8, 224), ("base", 16, 224), ("base", 16, 384), ("base", 32, 224), ("base", 32, 384),
    ("large", 16, 224), ("large", 16, 384), ("large", 32, 224), ("large", 32, 384),
):  # fmt: skip
    CONFIGS[f"vit_{name}_patch{patch}_{size}"] = vit(size, patch, *WIDTHS[name])
for name in ("tiny", "small", "base"):
    CONFIGS[f"deit_{name}_patch16_224"] = vit(224, 16, *WIDTHS[name])
for name in ("small", "base", "large"):  # Touvron et al. 2022: layer scale, no position on the class token
    CONFIGS[f"deit3_{name}_patch16_224"] = vit(224, 16, *WIDTHS[name], layer_scale=1e-6, prefix_position=False)

# Small images: ours, not timm's. 64 wide for digits and Fashion-MNIST, 384 wide as omihub777/ViT-CIFAR.
SMALL: dict[str, Any] = {"init": {"_target_": "zoo.layers.xavier", "_partial_": True}, "mlp_ratio": 2.0}
for size, patch, channels in ((8, 1, 1), (8, 2, 1), (28, 4, 1), (32, 4, 3)):
    CONFIGS[f"vit_mini_patch{patch}_{size}"] = vit(size, patch, 64, 4, 4, in_chans=channels, num_classes=10, **SMALL)
CONFIGS["vit_cifar_patch4_32"] = vit(32, 4, 384, 7, 12, num_classes=10, **{**SMALL, "mlp_ratio": 1.0})


def gat(
    in_dim: int, num_classes: int, head_dim: int = 8, depth: int = 2, num_heads: int = 8, **more: Any
) -> dict[str, Any]:
    sizes = dict(in_dim=in_dim, num_classes=num_classes, head_dim=head_dim, depth=depth, num_heads=num_heads)
    return {"_target_": "zoo.models.gat.GAT", **sizes, **more}


# Velickovic et al. 2018, section 3.3, at the sizes of its data sets.
CONFIGS["gat_cora"] = gat(1433, 7)
CONFIGS["gat_citeseer"] = gat(3703, 6)
CONFIGS["gat_pubmed"] = gat(500, 3, out_heads=8)
RESIDUAL = {"_target_": "zoo.layers.Residual", "_partial_": True}
CONFIGS["gat_ppi"] = gat(50, 121, 256, 3, 4, out_heads=6, dropout=0.0, attn_dropout=0.0, skip=RESIDUAL)


#: Sizes of a name that the data of a training decide. Not the image's: patches are made for it.
DECIDED = ("num_classes", "in_chans", "in_dim", "edge_dim", "readout")


def store(files: Iterable[Path]) -> None:
    """Make these names choices of `model=` for Hydra.

    Args:
        files: conf/model's. Of the one with the same class come the choices of score, pattern, position and kernel, and the
            data and the recipe to begin with.
    """
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    found: list[Any] = [OmegaConf.to_container(OmegaConf.load(path)) for path in files]
    families = {file["model"]["_target_"]: file for file in found if "_target_" in file.get("model", {})}
    for name, config in CONFIGS.items():
        family = families[config["_target_"]]
        model = {"attention": family["model"]["attention"], **config}
        model |= {key: None for key in DECIDED if key in family["model"]}
        node = {"defaults": family["defaults"], "model": model}
        ConfigStore.instance().store(group="model", name=name, node=node, package="_global_")
