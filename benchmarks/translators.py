"""The same work for zoo and for others: translators with the same weights, and the calls that are timed."""

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import zoo
from benchmarks.timing import finished

Call = Callable[[], Any]
#: Of our models of Multi30k (issue: joint BPE of 4,000, width 256, 2 + 2 blocks with 512 inside).
VOCAB, DIM, HEADS, HIDDEN, DEPTH = 4000, 256, 4, 512, 2
LENGTHS = (8, 20)  # tokens of a sentence
BATCH, NEW = 128, 32


def sentences(batch: int, vocab: int = VOCAB) -> tuple[Tensor, Tensor, Tensor]:
    """Source ids [B, S], their lengths, and targets [B, T] of the longest length."""
    draw = torch.Generator().manual_seed(1)
    lengths = torch.randint(LENGTHS[0], LENGTHS[1] + 1, (batch,), generator=draw)
    lengths[0] = LENGTHS[1]
    source, target = (torch.randint(3, vocab - 3, (batch, LENGTHS[1]), generator=draw) for _ in range(2))
    return source * (torch.arange(LENGTHS[1]) < lengths[:, None]), lengths, target


def ours(name: str, **more: Any) -> Any:
    """Our model of a name."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = dict(source_vocab=VOCAB, target_vocab=VOCAB, dim=DIM)
    if name == "transformer_2017":
        sizes |= dict(depth=DEPTH, num_heads=HEADS, hidden=HIDDEN)
    return zoo.create_model(name, **sizes, **more)


class TorchTransformer(nn.Module):
    """nn.Transformer with embeddings, sinusoids and a tied head: the equations and weights of our Transformer2017."""

    def __init__(self, mine: Any):
        super().__init__()
        how: Any = dict(nhead=HEADS, dim_feedforward=HIDDEN, dropout=0.0, batch_first=True)
        layers = nn.TransformerEncoderLayer(DIM, **how), nn.TransformerDecoderLayer(DIM, **how)
        encoder = nn.TransformerEncoder(layers[0], DEPTH, enable_nested_tensor=False)
        decoder = nn.TransformerDecoder(layers[1], DEPTH)
        self.body = nn.Transformer(DIM, HEADS, batch_first=True, custom_encoder=encoder, custom_decoder=decoder)
        self.embed = copy.deepcopy(mine.embed)
        places = mine.position.embed(torch.zeros(1, LENGTHS[1], DIM), torch.arange(LENGTHS[1]))
        self.register_buffer("places", places)
        for theirs, side in ((encoder, mine.encoder), (decoder, mine.decoder)):
            for layer, block in zip(theirs.layers, side.blocks, strict=True):
                self._fill(layer, block)

    @staticmethod
    def _fill(layer: Any, block: Any) -> None:
        looks = [(layer.self_attn, block.attn)]
        looks += [(layer.multihead_attn, block.cross)] if hasattr(block, "cross") else []
        for theirs, own in looks:
            maps = [own.projection.qkv] if hasattr(own.projection, "qkv") else [own.projection.q, own.projection.kv]
            theirs.in_proj_weight.data = torch.cat([each.weight.data for each in maps])
            theirs.in_proj_bias.data = torch.cat([each.bias.data for each in maps])
            theirs.out_proj.load_state_dict(own.output.proj.state_dict())
        layer.linear1.load_state_dict(block.mlp.fc1.state_dict())
        layer.linear2.load_state_dict(block.mlp.fc2.state_dict())
        for i in range(1, len(block.names) + 1):
            getattr(layer, f"norm{i}").load_state_dict(getattr(block, f"norm{i}").state_dict())

    def forward(self, source: Tensor, target: Tensor, lengths: Tensor) -> Tensor:
        hidden = torch.arange(source.shape[1]) >= lengths[:, None]
        x, y = (self.embed(ids) * math.sqrt(DIM) + self.places[:, : ids.shape[1]] for ids in (source, target))
        ahead = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        out = self.body(
            x, y, tgt_mask=ahead, src_key_padding_mask=hidden, memory_key_padding_mask=hidden, tgt_is_causal=True
        )
        return F.linear(out, self.embed.weight)


class HandWritten(nn.Module):
    """Bahdanau's equations in a plain loop, as a course has them: torch's modules with the weights of our model."""

    def __init__(self, mine: Any):
        super().__init__()
        mine = copy.deepcopy(mine)
        self.source_embed, self.encoder = mine.encoder.embed, mine.encoder.cells
        self.embed, self.head = mine.embed, torchs(mine.head)
        score, decoder = mine.decoder.attn.score, mine.decoder
        self.query, self.key, self.out = (torchs(each) for each in (score.query, score.key, score.out))
        self.start, self.readout = torchs(decoder.start), torchs(decoder.readout)
        self.cell = nn.GRUCell(2 * DIM, DIM)
        self.cell.load_state_dict({name.removesuffix("_l0"): w for name, w in decoder.cells.state_dict().items()})

    def forward(self, source: Tensor, target: Tensor, lengths: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(
            self.source_embed(source), lengths, batch_first=True, enforce_sorted=False
        )
        states, last = self.encoder(packed)
        h = nn.utils.rnn.pad_packed_sequence(states, batch_first=True, total_length=source.shape[1])[0]
        hidden = torch.arange(source.shape[1]) >= lengths[:, None]
        s, keys, found = torch.tanh(self.start(last[1])), self.key(h), []
        for y in self.embed(target).unbind(1):
            e = self.out(torch.tanh(self.query(s).unsqueeze(1) + keys)).squeeze(-1)
            weights = e.masked_fill(hidden, -torch.inf).softmax(-1)
            c = torch.bmm(weights.unsqueeze(1), h).squeeze(1)
            s = self.cell(torch.cat([y, c], -1), s)
            found.append(torch.cat([s, c, y], -1))
        return self.head(self.readout(torch.stack(found, 1)).unflatten(-1, (-1, 2)).amax(-1))


def torchs(linear: nn.Linear) -> nn.Linear:
    """torch's own Linear with the weights of one."""
    made = nn.Linear(linear.in_features, linear.out_features, linear.bias is not None)
    made.load_state_dict(linear.state_dict())
    return made


def training_step(model: Any, source: Tensor, lengths: Tensor, target: Tensor) -> Call:
    """Forward, cross-entropy, backward, Adam (fused), gradients to None."""
    model = model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-7, fused=True)

    def call() -> None:
        loss = F.cross_entropy(model(source, target[:, :-1], lengths).flatten(0, 1), target[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        finished(loss)

    return call


def check_same(models: dict[str, Any], given: tuple[Tensor, Tensor, Tensor]) -> None:
    """All of them say the same."""
    source, lengths, target = given
    with torch.no_grad():
        first, *others = (model.eval()(source, target, lengths) for model in models.values())
    for other in others:
        torch.testing.assert_close(other, first, atol=1e-4, rtol=1e-4)


def marian(**sizes: Any) -> dict[str, Any]:
    """transformers' Marian of these sizes with random weights, a second copy of it, and ours converted from it."""
    from transformers import MarianConfig, MarianMTModel

    torch.manual_seed(0)
    both = {f"{side}_{what}": value for side in ("encoder", "decoder")
            for what, value in (("layers", DEPTH), ("attention_heads", HEADS), ("ffn_dim", HIDDEN))}  # fmt: skip
    published = dict(vocab_size=VOCAB, d_model=DIM, scale_embedding=True, dropout=0.0, pad_token_id=VOCAB - 1)
    config = MarianConfig(**{**both, **published, "decoder_start_token_id": VOCAB - 1, "init_std": 0.1, **sizes})
    theirs: Any = MarianMTModel(config).eval()
    theirs.generation_config.eos_token_id = theirs.generation_config.forced_eos_token_id = None
    return {"zoo": zoo.convert(theirs).eval(), "hf": theirs, "copy": copy.deepcopy(theirs)}


def generation(model: Any, given: tuple[Tensor, Tensor, Tensor], beams: int, new: int) -> Call:
    """New tokens of each sentence, none of which ends."""
    source, lengths, _ = given
    mask = (torch.arange(source.shape[1]) < lengths[:, None]).long()

    @torch.inference_mode()
    def theirs() -> Tensor:
        made = model.generate(
            source, attention_mask=mask, max_new_tokens=new, do_sample=False, num_beams=beams, length_penalty=1.0
        )
        return finished(made[:, 1:])

    def own() -> Tensor:
        return finished(model.generate(source, lengths, max_new_tokens=new, num_beams=beams, stop=[]).ids)

    return theirs if hasattr(model, "generation_config") else own
