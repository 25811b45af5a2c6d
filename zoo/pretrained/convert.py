"""From another library's model to ours: one door, a converter for each class of theirs."""

from functools import singledispatch
from importlib import import_module

from torch import nn

from zoo.errors import ZooError

_TRANSFORMERS = {
    "bert": ("BertForMaskedLM", "BertForSequenceClassification", "BertModel"),
    "gemma": ("GemmaForCausalLM",),
    "gpt2": ("GPT2LMHeadModel",),
    "gpt_neox": ("GPTNeoXForCausalLM",),
    "llama": ("LlamaForCausalLM",),
    "mistral": ("MistralForCausalLM",),
    "phi": ("PhiForCausalLM",),
    "qwen2": ("Qwen2ForCausalLM",),
    "qwen3": ("Qwen3ForCausalLM",),
}
#: Class of another library -> module that registers a converter for it; imported when such a model is handed over.
SOURCES = {
    "timm.models.vision_transformer.VisionTransformer": "zoo.pretrained.from_timm",
    "torch_geometric.nn.conv.gat_conv.GATConv": "zoo.pretrained.from_pyg",
    "torch_geometric.nn.conv.gatv2_conv.GATv2Conv": "zoo.pretrained.from_pyg",
    "torch_geometric.nn.conv.transformer_conv.TransformerConv": "zoo.pretrained.from_pyg",
    "torch_geometric.nn.conv.rgat_conv.RGATConv": "zoo.pretrained.from_pyg_relational",
    "torch_geometric.nn.models.basic_gnn.GAT": "zoo.pretrained.from_pyg_models",
    **{
        f"transformers.models.patchtst.modeling_patchtst.{kind}": "zoo.pretrained.from_patchtst"
        for kind in ("PatchTSTForPrediction", "PatchTSTForPretraining")
    },
    **{
        f"transformers.models.{family}.modeling_{family}.{kind}": "zoo.pretrained.from_transformers"
        for family, kinds in _TRANSFORMERS.items()
        for kind in kinds
    },
}


@singledispatch
def convert(model: nn.Module) -> nn.Module:
    """The same function as one of this zoo's models, with the same weights: `zoo.convert(timm.create_model(...))`.

    timm's VisionTransformer; PyTorch Geometric's GATConv, GATv2Conv, TransformerConv, RGATConv and models.GAT;
    transformers' GPT2LMHeadModel, Llama, Mistral, Qwen2, Qwen3, Gemma, GPTNeoX and Phi ForCausalLM, BertModel,
    BertForMaskedLM, BertForSequenceClassification, PatchTSTForPrediction and PatchTSTForPretraining. Outputs differ by
    rounding only (at most 1e-4 in float32, of logits above 1 at most 1e-4 of the largest;
    tests/pretrained/test_convert*.py). The result has a config, so that `zoo.save` and `zoo.load` work, and preprocessing,
    class names and ids that end a text where the other library tells them. It has the device, dtype and mode of `model`,
    and shares no tensor with it.

    To add a source: `@convert.register(TheirClass)`, and a line in SOURCES if their library should not be imported.

    Raises: ZooError for a class without a converter, or naming each option of the model that ours does not have.
    """
    for kind in type(model).__mro__:
        where = SOURCES.get(_path(kind))
        if where and kind not in convert.registry:
            import_module(where)
            return convert(model)
    known = ", ".join(sorted({*SOURCES, *(_path(kind) for kind in convert.registry if kind is not object)}))
    raise ZooError(f"{_path(type(model))} is another architecture than those that can be converted: {known}.")


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
