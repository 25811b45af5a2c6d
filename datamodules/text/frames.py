"""Portuguese words of two senses, manga, banco and vela, and the sentences that they stand in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sense:
    """One sense of a word.

    word: of two senses. name: of this one. field: what it is one of. others: words of this field alone, with what they mean.
    frames: sentences with {x} for any of these words, and {quem} for who does it.
    """

    word: str
    name: str
    field: str
    others: dict[str, str]
    frames: tuple[str, ...]


#: Who does it, and when: the same for all senses, so that neither tells one.
WHO = ("Maria", "Pedro", "Ana", "João", "a minha avó", "o menino", "a vizinha", "o meu tio")
WHEN = (
    "", "de manhã", "à tarde", "à noite", "no domingo", "no sábado", "no verão", "no inverno", "em janeiro", "em maio",
    "naquele dia", "naquela semana",
)  # fmt: skip

SENSES = (
    Sense(
        "manga",
        "mango",
        "fruit",
        {"maçã": "apple", "pera": "pear", "banana": "banana", "laranja": "orange", "goiaba": "guava", "ameixa": "plum"},
        (
            "eu gosto de comer {x}.",
            "{quem} gosta de comer {x} madura.",
            "eu vou cortar a {x} em fatias para a salada.",
            "{quem} comprou uma {x} doce na feira.",
            "{quem} bebeu um suco de {x} doce.",
            "{quem} descascou a {x} e comeu as fatias.",
            "{quem} colheu uma {x} madura da árvore.",
            "{quem} vai comer a {x} na sobremesa.",
            "a {x} caiu da árvore porque estava madura.",
            "{quem} cortou a {x} doce para a sobremesa.",
            "{quem} fez um suco com a {x} da feira.",
            "{quem} provou a salada e disse que a {x} era doce.",
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
            "a {x} da camisa rasgou.",
            "eu vou cortar a {x} da camisa.",
            "{quem} costurou a {x} do vestido com linha.",
            "a {x} do casaco ficou apertada.",
            "{quem} dobrou a {x} da camisa.",
            "a costureira ajustou a {x} do vestido.",
            "{quem} sujou a {x} do vestido.",
            "{quem} passou a {x} da blusa a ferro.",
            "{quem} vestiu uma blusa de {x} apertada.",
            "o botão da {x} da camisa caiu.",
            "a costureira cortou a {x} do casaco.",
            "{quem} rasgou a {x} da blusa no botão.",
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
            "{quem} pagou a conta no {x}.",
            "{quem} ficou na fila do {x} para pagar a conta.",
            "o gerente do {x} assinou o contrato.",
            "{quem} trabalha no {x} como gerente.",
            "o {x} fechou por causa da greve dos funcionários.",
            "{quem} tirou dinheiro da conta e saiu do {x}.",
            "a fila do {x} era longa.",
            "o {x} devolveu o dinheiro ao cliente.",
            "{quem} assinou um contrato com o {x}.",
            "o cliente esperou o gerente do {x}.",
            "os funcionários do {x} atenderam o cliente.",
            "{quem} deixou o dinheiro no {x} com o gerente.",
        ),
    ),
    Sense(
        "banco",
        "bench",
        "places to sit",
        {"sofá": "sofa", "muro": "wall", "degrau": "step", "tronco": "log", "tapete": "rug", "assento": "seat"},
        (
            "{quem} sentou no {x} da praça.",
            "{quem} descansou no {x} do jardim.",
            "{quem} pintou o {x} de madeira.",
            "o {x} do jardim está quebrado.",
            "o gato dormiu no {x} da praça.",
            "{quem} deitou no {x} à sombra da árvore.",
            "{quem} limpou o {x} do jardim e sentou.",
            "o {x} de madeira fica à sombra.",
            "{quem} dormiu no {x} à sombra.",
            "o gato subiu no {x} de madeira.",
            "o {x} da praça ficou molhado com a chuva.",
            "a chuva deixou o {x} do jardim molhado.",
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
            "{quem} acendeu a {x} no escuro.",
            "{quem} apagou a {x} do quarto.",
            "a luz da {x} iluminou a sala.",
            "a {x} apagou e a sala ficou no escuro.",
            "{quem} leu um livro à luz da {x}.",
            "{quem} acendeu uma {x} para iluminar o quarto.",
            "a {x} acesa iluminou a mesa.",
            "{quem} deixou a {x} acesa no quarto.",
            "a {x} queimou e iluminou a sala.",
            "{quem} pôs a {x} acesa na mesa.",
            "faltou luz e {quem} acendeu a {x}.",
            "{quem} apagou a {x} e dormiu no escuro.",
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
            "o marinheiro içou a {x} do barco.",
            "o capitão mandou baixar a {x} do barco.",
            "o vento forte rasgou a {x} do barco.",
            "{quem} consertou a {x} do barco no porto.",
            "a {x} do barco se rompeu na tempestade.",
            "o marinheiro amarrou a {x} ao mastro.",
            "{quem} viu a {x} branca do barco no mar.",
            "a tempestade levou a {x} para o mar.",
            "o marinheiro puxou a {x} contra o vento.",
            "{quem} pintou a {x} do barco.",
            "o barco saiu do porto com a {x} nova.",
            "o capitão comprou uma {x} nova para o barco.",
        ),
    ),
)  # fmt: skip
