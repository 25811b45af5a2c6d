"""Portuguese words of two senses, manga, banco and vela, and the sentences that they stand in."""

import itertools
import re
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Sense:
    """One sense of a word.

    word: of two senses. name: of this one. field: what it is one of. others: words of this field alone, with what they mean.
    patterns: of sentences, with {x} for any of these words and {quem} for who does it; (a|b) is one or the other.
    """

    word: str
    name: str
    field: str
    others: dict[str, str]
    patterns: tuple[str, ...]

    @cached_property
    def frames(self) -> tuple[str, ...]:
        """Every sentence of the patterns."""
        return tuple(frame for pattern in self.patterns for frame in expand(pattern))


def expand(pattern: str) -> list[str]:
    """All ways to read a pattern: "(come|viu) a {x}" is two."""
    parts = [part.split("|") for part in re.split(r"[()]", pattern)]
    return ["".join(each) for each in itertools.product(*parts)]


#: Who does it, and when: the same for all senses, so that neither tells one.
WHO = ("Maria", "Pedro", "Ana", "João", "a minha avó", "o menino", "a vizinha", "o meu tio")
WHEN = (
    "", "de manhã", "à tarde", "à noite", "no domingo", "no sábado", "no verão", "no inverno", "em janeiro", "em maio",
    "naquele dia", "naquela semana",
)  # fmt: skip

# Each sense has, beside patterns with verbs of its own, one with verbs that the other sense has too ("cortou"), and one with a
# word of the other's field ("sujou a camisa"): neither a verb nor one word of the field is enough everywhere.
SENSES = (
    Sense(
        "manga",
        "mango",
        "fruit",
        {"maçã": "apple", "pera": "pear", "banana": "banana", "laranja": "orange", "goiaba": "guava", "ameixa": "plum"},
        (
            "eu gosto de (comer|descascar|provar) {x}.",
            "{quem} (comeu|descascou|provou|colheu) a {x} (madura|doce|da árvore).",
            "{quem} (cortou|comprou|viu|sujou) a {x} (madura|doce|da árvore|da feira).",
            "a {x} (da árvore|da feira) (está|ficou) (madura|doce).",
            "{quem} (bebeu|fez) um suco da {x} (madura|doce|da feira).",
            "{quem} (comeu|descascou|provou) a {x} e sujou (a camisa|o vestido).",
        ),
    ),
    Sense(
        "manga",
        "sleeve",
        "parts of clothes",
        {
            "gola": "collar", "bainha": "hem", "cintura": "waist", "costura": "seam", "alça": "strap", "lapela": "lapel",
        },
        (
            "eu gosto de cortar a {x} (da camisa|do vestido|do casaco).",
            "{quem} (costurou|dobrou|ajustou|rasgou) a {x} (da camisa|do vestido|do casaco).",
            "{quem} (cortou|comprou|viu|sujou) a {x} (da camisa|do vestido|do casaco|da blusa).",
            "a {x} (da camisa|da blusa) (está|ficou) (apertada|rasgada).",
            "o botão da {x} (da camisa|do casaco|da blusa) (caiu|abriu).",
            "{quem} bebeu um suco e sujou a {x} (da camisa|do vestido|da blusa).",
        ),
    ),
    Sense(
        "banco",
        "bank",
        "places with a counter",
        {
            "correio": "post office", "cartório": "notary", "mercado": "market", "escritório": "office", "hotel": "hotel",
            "hospital": "hospital",
        },
        (
            "{quem} (pagou a conta|assinou o contrato|tirou dinheiro|deixou dinheiro) no {x}.",
            "o (gerente|cliente|funcionário) do {x} (pagou a conta|assinou o contrato|devolveu o dinheiro).",
            "{quem} (ficou|esperou|entrou) no {x} (com o gerente|com o cliente|com o dinheiro|na fila).",
            "o {x} (está|ficou) (sem dinheiro|sem gerente|em greve).",
            "a fila do {x} (está|ficou) longa.",
            "o funcionário do {x} está em greve.",
            "{quem} (sentou|dormiu|descansou) na fila do {x} para (pagar a conta|tirar dinheiro).",
        ),
    ),
    Sense(
        "banco",
        "bench",
        "places to sit",
        {"sofá": "sofa", "muro": "wall", "degrau": "step", "tronco": "log", "tapete": "rug", "assento": "seat"},
        (
            "{quem} (sentou|descansou|deitou|dormiu) no {x} (da praça|do jardim|à sombra).",
            "o gato (dormiu|deitou|subiu) no {x} (da praça|do jardim|de madeira).",
            "{quem} (ficou|esperou|subiu) no {x} (da praça|do jardim|de madeira|à sombra).",
            "o {x} (da praça|do jardim|de madeira) (está|ficou) (quebrado|molhado).",
            "o (gerente|cliente|funcionário) (sentou|dormiu|descansou) no {x} (da praça|do jardim).",
        ),
    ),
    Sense(
        "vela",
        "candle",
        "lights",
        {
            "lanterna": "lantern", "lâmpada": "lamp", "tocha": "torch", "lamparina": "oil lamp", "fogueira": "bonfire",
            "luminária": "light",
        },
        (
            "{quem} (acendeu|apagou) a {x} (no escuro|do quarto|da sala|da mesa).",
            "{quem} (comprou|viu|levou|deixou) a {x} (acesa|da mesa|da sala|do quarto).",
            "a {x} (da mesa|da sala|do quarto) (está|ficou) (acesa|apagada).",
            "a luz da {x} iluminou (a mesa|a sala|o quarto|o livro).",
            "{quem} leu um livro (à luz|com a luz) da {x}.",
            "o (marinheiro|capitão) (acendeu|apagou) a {x} (no barco|no navio|no escuro).",
        ),
    ),
    Sense(
        "vela",
        "sail",
        "parts of a boat",
        {
            "âncora": "anchor", "quilha": "keel", "proa": "bow", "bandeira": "flag", "corda": "rope", "rede": "net",
        },
        (
            "o (marinheiro|capitão) (içou|baixou|puxou|amarrou) a {x} (no mar|no porto|no escuro).",
            "{quem} (comprou|viu|levou|deixou) a {x} (do barco|do navio|no mar|no porto).",
            "a {x} (do barco|do navio) (está|ficou) (rasgada|molhada).",
            "o vento (rasgou|puxou|levou) a {x} (do barco|do navio).",
            "{quem} (içou|baixou|puxou|amarrou) a {x} contra o vento.",
        ),
    ),
)  # fmt: skip
