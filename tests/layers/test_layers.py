"""The block's two orders, the feed-forward, the patches."""

import pytest
import torch
from torch import nn

from zoo.attention import Attention, Causal, KVCache, Padding, SeparateQKV
from zoo.errors import ZooError
from zoo.layers import Block, CentredRMSNorm, FeedForward, GatedFeedForward, PatchEmbed, parallel, post_norm, pre_norm

DIM, B, N = 16, 2, 5


def block(**how):
    made = Block(DIM, Attention(DIM, 4), FeedForward(DIM, 32), **how).double().eval()
    for norm in [module for module in made.modules() if isinstance(module, nn.LayerNorm)]:
        nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    return made


def tokens():
    return torch.randn(B, N, DIM, dtype=torch.float64)


def test_pre_norm():
    b, x = block(order=pre_norm), tokens()
    y = x + b.attn(b.norm1(x))
    torch.testing.assert_close(b(x), y + b.mlp(b.norm2(y)))


def test_post_norm():
    b, x = block(order=post_norm), tokens()
    t3 = b.norm1(x + b.attn(x))
    torch.testing.assert_close(b(x), b.norm2(t3 + b.mlp(t3)))


def test_parallel():
    """GPT-NeoX: both sublayers read the block's input; Phi: through one norm."""
    b, x = block(order=parallel), tokens()
    torch.testing.assert_close(b(x), x + b.attn(b.norm1(x)) + b.mlp(b.norm2(x)))
    b = block(order=parallel, shared_norm=True)
    torch.testing.assert_close(b(x), x + b.attn(b.norm1(x)) + b.mlp(b.norm1(x)))
    assert not hasattr(b, "norm2")


def test_centred_rms_norm_is_rms_norm_with_one_more():
    x, ours, torchs = tokens(), CentredRMSNorm(DIM), nn.RMSNorm(DIM, eps=1e-6)
    ours, torchs = ours.to(x), torchs.to(x)
    nn.init.normal_(ours.weight)
    torchs.weight.data = 1 + ours.weight.data
    torch.testing.assert_close(ours(x), torchs(x), rtol=1e-6, atol=1e-6)


def test_post_norm_is_torchs_encoder_layer():
    """The same weights give the output of torch's own layer (both orders)."""
    for order, first in ((post_norm, False), (pre_norm, True)):
        b = block(order=order)
        t = nn.TransformerEncoderLayer(DIM, 4, 32, 0.0, "gelu", batch_first=True, norm_first=first).double().eval()
        qkv, proj = b.attn.projection.qkv, b.attn.output.proj
        t.self_attn.in_proj_weight.data, t.self_attn.in_proj_bias.data = qkv.weight.data, qkv.bias.data
        t.self_attn.out_proj.load_state_dict(proj.state_dict())
        for ours, theirs in ((b.mlp.fc1, t.linear1), (b.mlp.fc2, t.linear2), (b.norm1, t.norm1), (b.norm2, t.norm2)):
            theirs.load_state_dict(ours.state_dict())
        x = tokens().requires_grad_()
        torch.testing.assert_close(b(x), t(x))


@pytest.mark.parametrize("bias", [False, True])
def test_gated_feed_forward(bias):
    """Shazeer 2020, equation 6: (silu(x W) * x V) W2."""
    layer, x = GatedFeedForward(DIM, 24, bias=bias).double(), tokens()
    gate = x @ layer.gate.weight.T + (layer.gate.bias if bias else 0)
    want = (gate * torch.sigmoid(gate) * (x @ layer.up.weight.T + (layer.up.bias if bias else 0))) @ layer.down.weight.T
    torch.testing.assert_close(layer(x), want + (layer.down.bias if bias else 0))


def test_attention_arguments_pass_through():
    b, x = block(), tokens()
    torch.testing.assert_close(b(x, pattern=Causal())[:, 0], b(x[:, :1])[:, 0])


def test_layer_scale_and_drop_path():
    b, x = block(layer_scale=0.0), tokens()
    torch.testing.assert_close(b(x), x)
    b = block(drop_path=0.999).train()
    torch.testing.assert_close(b(x), x)
    assert not torch.allclose(b.eval()(x), x)


def test_patches_are_a_convolution():
    embed = PatchEmbed((8, 12), 4, 3, DIM)
    x = torch.randn(B, 3, 8, 12)
    weight = embed.proj.weight.view(DIM, 3, 4, 4)
    want = nn.functional.conv2d(x, weight, embed.proj.bias, stride=4).flatten(2).mT
    torch.testing.assert_close(embed(x), want, rtol=1e-5, atol=1e-5)
    with pytest.raises(ZooError, match=r"\(8, 9\) is not divisible by patch_size=4"):
        PatchEmbed((8, 9), 4, 3, DIM)
    with pytest.raises(ZooError, match=r"takes images \[B, 3, 8, 12\]; got \[2, 1, 8, 12\]"):
        embed(x[:, :1])


def test_a_decoder_block_is_a_block_of_three():
    """Self-attention, cross-attention, feed-forward, each with its norm: the equations written out."""
    made = Block(
        DIM, self_attn=Attention(DIM, 4, pattern=Causal()), cross_attn=Attention(DIM, 4, projection=SeparateQKV),
        mlp=FeedForward(DIM, 32),
    ).double().eval()  # fmt: skip
    x, context = torch.randn(2, 5, DIM).double(), torch.randn(2, 7, DIM).double()
    pad = Padding(torch.tensor([7, 3]))
    want = x + made.self_attn(made.norm1(x))
    want = want + made.cross_attn(made.norm2(want), context, pattern=pad)
    want = want + made.mlp(made.norm3(want))
    torch.testing.assert_close(made(x, cross_attn=dict(context=context, pattern=pad)), want)
    with torch.no_grad():
        caches = KVCache(2, 4, 5, DIM // 4, dtype=torch.float64), KVCache(2, 4, 7, DIM // 4, dtype=torch.float64)
        steps = [
            made(x[:, t : t + 1], cache=caches[0], cross_attn=dict(context=context, pattern=pad, cache=caches[1]))
            for t in range(5)
        ]
    torch.testing.assert_close(torch.cat(steps, 1), want)


def test_names_of_a_block_stay():
    """Names of tensors are those of old checkpoints; a sublayer must be one."""
    made = Block(DIM, Attention(DIM, 4), FeedForward(DIM, 32), layer_scale=1e-5)
    assert list(dict(made.named_children())) == ["norm1", "attn", "branch1", "norm2", "mlp", "branch2"]
    assert list(dict(Block(DIM, mlp=FeedForward(DIM, 8)).named_children())) == ["norm1", "mlp"]
    for wrong in (dict(nrom=nn.LayerNorm), dict(order2=3), dict(forward=FeedForward(DIM, 8))):
        with pytest.raises(ZooError, match="is not a sublayer of a Block"):
            Block(DIM, Attention(DIM, 4), FeedForward(DIM, 32), **wrong)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_left_out_branches_are_those_of_timm(rate):
    """Block draws as timm's DropPath does: the same branches of the same samples, the rest scaled up."""
    from timm.layers import DropPath

    from zoo.layers.block import _branch

    x, ours, theirs = torch.randn(64, 3, 4), _branch(4, None, rate), DropPath(rate)
    outputs = []
    for each in (ours, theirs):
        torch.manual_seed(1)
        outputs.append(each.train()(x))
    torch.testing.assert_close(*outputs)
    assert torch.equal(ours.eval()(x), x)
