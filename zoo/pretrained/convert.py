"""From another library's model to ours: one door, a converter for each class of theirs."""

from functools import singledispatch
from importlib import import_module
from inspect import signature
from typing import Any

from torch import nn

from zoo.errors import ZooError

_TRANSFORMERS = {
    "bart": ("BartForConditionalGeneration",),
    "bert": ("BertForMaskedLM", "BertForSequenceClassification", "BertModel"),
    "gemma": ("GemmaForCausalLM",),
    "gpt2": ("GPT2LMHeadModel",),
    "gpt_neox": ("GPTNeoXForCausalLM",),
    "llama": ("LlamaForCausalLM",),
    "marian": ("MarianMTModel",),
    "mistral": ("MistralForCausalLM",),
    "phi": ("PhiForCausalLM",),
    "qwen2": ("Qwen2ForCausalLM",),
    "qwen3": ("Qwen3ForCausalLM",),
}
#: Class of another library -> module that registers a converter for it; imported when such a model is handed over.
SOURCES = {
    "timm.models.vision_transformer.VisionTransformer": "zoo.pretrained.from_timm",
    "timm.models.eva.Eva": "zoo.pretrained.from_timm",
    "timm.models.beit.Beit": "zoo.pretrained.from_timm",
    "timm.models.vision_transformer_relpos.VisionTransformerRelPos": "zoo.pretrained.from_timm",
    "torch_geometric.nn.conv.gat_conv.GATConv": "zoo.pretrained.from_pyg",
    "torch_geometric.nn.conv.gatv2_conv.GATv2Conv": "zoo.pretrained.from_pyg",
    "torch_geometric.nn.conv.transformer_conv.TransformerConv": "zoo.pretrained.from_pyg",
    "torch_geometric.nn.conv.rgat_conv.RGATConv": "zoo.pretrained.from_pyg_relational",
    "torch_geometric.nn.conv.supergat_conv.SuperGATConv": "zoo.pretrained.from_pyg_supergat",
    "torch_geometric.nn.models.basic_gnn.GAT": "zoo.pretrained.from_pyg_models",
    **{
        f"transformers.models.patchtst.modeling_patchtst.{kind}": "zoo.pretrained.from_patchtst"
        for kind in ("PatchTSTForPrediction", "PatchTSTForPretraining")
    },
    "transformers.models.informer.modeling_informer.InformerForPrediction": "zoo.pretrained.from_informer",
    **{
        f"transformers.models.{family}.modeling_{family}.{kind}": "zoo.pretrained.from_transformers"
        for family, kinds in _TRANSFORMERS.items()
        for kind in kinds
    },
}


class Convert:
    """The same function as one of this zoo's models, with the same weights: `zoo.convert(timm.create_model(...))`.

    timm's VisionTransformer, VisionTransformerDistilled, Eva, Beit and VisionTransformerRelPos; PyTorch Geometric's GATConv,
    GATv2Conv, TransformerConv, RGATConv, SuperGATConv and models.GAT; transformers' GPT2LMHeadModel, Llama, Mistral, Qwen2,
    Qwen3, Gemma, GPTNeoX and Phi ForCausalLM, BertModel, BertForMaskedLM, BertForSequenceClassification, PatchTSTForPrediction,
    PatchTSTForPretraining, InformerForPrediction, MarianMTModel and BartForConditionalGeneration.
    Outputs differ by rounding only (at most 1e-4 in float32, of logits above 1 at most 1e-4 of the largest;
    tests/pretrained/test_convert*.py). The result has a config, so that `zoo.save` and `zoo.load` work, and preprocessing,
    class names and ids that end a text where the other library tells them. It has the device, dtype and mode of `model`,
    and shares no tensor with it.

    To add a source: `@convert.register(TheirClass)`, and a line in SOURCES if their library should not be imported. Arguments
    of what is registered, beside the model, are options of that source: `convert(informer, lazy="sum")`.

    Raises: ZooError for a class without a converter, an option that its converter has not, or naming each option of the model
        that ours does not have.
    """

    def __init__(self) -> None:
        self.found = singledispatch(_no_converter)
        self.register, self.registry = self.found.register, self.found.registry

    def __call__(self, model: nn.Module, **options: Any) -> nn.Module:
        self._look_for(type(model))
        converter = self.found.dispatch(type(model))
        known = list(signature(converter).parameters)[1:]
        if unknown := [f"{name}={value!r:.80}" for name, value in options.items() if name not in known]:
            those = f"its options are {', '.join(known)}" if known else "it has none"
            raise ZooError(f"{', '.join(unknown)} is no option of converting {_path(type(model))}; {those}.")
        return converter(model, **options)

    def _look_for(self, kind: type) -> None:
        """Import what registers a converter for the class, or for the nearest above it."""
        for each in kind.__mro__:
            if each is not object and each in self.registry:
                return
            if where := SOURCES.get(_path(each)):
                import_module(where)
                return
        known = ", ".join(sorted({*SOURCES, *(_path(each) for each in self.registry if each is not object)}))
        raise ZooError(f"{_path(kind)} is another architecture than those that can be converted: {known}.")


def _no_converter(model: nn.Module) -> nn.Module:
    raise ZooError(f"{_path(type(model))} is another architecture than those that can be converted.")


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


convert = Convert()
