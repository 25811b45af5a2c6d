"""The same work for zoo and for timm: models with the same weights, and the calls that are timed."""

from collections.abc import Callable

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import zoo
from benchmarks.timing import finished

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
CLASSES = 1000


def trio(name: str, device: str = "cpu", **sizes: int) -> dict[str, nn.Module]:
    """timm's model with random weights, a second copy of it, and ours with the same weights: the logits agree.

    They are compared on the CPU, where float32 is float32, then moved to `device`.
    """
    torch.manual_seed(0)
    models = {"timm": timm.create_model(name, num_classes=CLASSES, **sizes).eval()}
    models["copy"] = timm.create_model(name, num_classes=CLASSES, **sizes).eval()
    models["copy"].load_state_dict(models["timm"].state_dict())
    models["zoo"] = zoo.convert(models["timm"]).eval()
    x = images(models["timm"], 2)
    with torch.no_grad():
        expected = models["timm"](x)
        for model in models.values():
            torch.testing.assert_close(model(x), expected, atol=1e-4, rtol=0)
    return {key: models[key].to(device) for key in ("zoo", "timm", "copy")}


def images(timm_model: nn.Module, batch: int) -> Tensor:
    """Random images of the size that a timm model takes, where the model is."""
    x = torch.randn(batch, 3, *timm_model.patch_embed.img_size, generator=torch.Generator().manual_seed(1))
    return x.to(next(timm_model.parameters()).device)


def forward(model: nn.Module, x: Tensor, dtype: torch.dtype, mode: str = "eager") -> Callable[[], Tensor]:
    """Logits in eval mode without gradients; weights and images are cast to `dtype`."""
    model, x = _prepared(model.eval().to(dtype), mode), x.to(dtype)

    @torch.inference_mode()
    def call() -> Tensor:
        return finished(model(x))

    return call


def training_step(model: nn.Module, x: Tensor, dtype: torch.dtype, mode: str = "eager") -> Callable[[], None]:
    """Forward, cross-entropy, backward, AdamW (fused), gradients to None; weights stay float32, bfloat16 is autocast.

    The rate is tiny: a thousand steps on one batch leave the weights ordinary numbers.
    """
    labels = torch.randint(CLASSES, (len(x),), generator=torch.Generator().manual_seed(2)).to(x.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-7, fused=True)
    model, mixed = _prepared(model.train(), mode), dtype is not torch.float32

    def call() -> None:
        with torch.autocast(x.device.type, dtype, enabled=mixed):
            loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        finished(loss)

    return call


CALLS = {"forward": forward, "train": training_step}


def _prepared(model: nn.Module, mode: str) -> nn.Module:
    # Static shapes: after batch 1 dynamo would guess that every batch is dynamic, and measure something else.
    return torch.compile(model, dynamic=False) if mode == "compiled" else model


def flops(model: nn.Module, x: Tensor, what: str) -> int:
    """Floating point operations of the matrix products of one call, forward or forward and backward."""
    with FlopCounterMode(display=False) as counter:
        if what == "forward":
            with torch.no_grad():
                model(x)
        else:
            model(x).sum().backward()
            model.zero_grad()
    return counter.get_total_flops()
