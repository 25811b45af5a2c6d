"""Tables on the terminal, in rich's hands; plain and unbroken lines where the output is piped."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from zoo.errors import printable

PIPED = 400  # no line is broken there, so that grep finds it


def table(rows: Iterable[Sequence[object]], title: str = "", header: Sequence[str] = ()) -> None:
    """Print rows in columns; the first never wraps. A row shorter than the header is filled up."""
    lines = [[printable(str(cell)) for cell in row] for row in rows]  # what a file says goes to the terminal
    columns = max([len(header), *map(len, lines)])
    drawn = Table(box=None, show_header=bool(header), pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for i in range(columns):
        # Indented under its title, and never coloured by markup: a name may hold [brackets].
        drawn.add_column(header[i] if i < len(header) else "", no_wrap=i == 0, style="cyan" if i == 0 else "")
    for line in lines:
        drawn.add_row(*(Text(("  " if title and i == 0 else "") + cell) for i, cell in enumerate(line)))
    out = console()
    if title:
        out.print(Text(printable(title), style="bold"))
    out.print(drawn)


def console() -> Console:
    """The terminal as it is now (tests replace stdout)."""
    out = Console(highlight=False, soft_wrap=False)
    return out if out.is_terminal else Console(highlight=False, width=PIPED)
