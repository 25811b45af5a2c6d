"""What the columns of a table are for."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from zoo.errors import ZooError, nearest


@dataclass(frozen=True)
class Roles:
    """Names of columns by what they are for.

    Args:
        time: stamps; None: rows are in order, and there is no calendar.
        id: which series a row belongs to, of a long table; None: all rows are one series.
        targets: what is forecast; none: all numeric columns left over.
        past: known up to the moment of a forecast.
        future: known beforehand, over the horizon too.
        static: of a series, the same in all its rows: text or numbers.
    """

    time: str | None = None
    id: str | None = None
    targets: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    future: tuple[str, ...] = ()
    static: tuple[str, ...] = ()

    @classmethod
    def of(cls, **given: Any) -> "Roles":
        """Roles of a config's settings. Raises: ZooError for what is no name, and for a column with two roles."""
        made: dict[str, Any] = {}
        for field in fields(cls):
            value = given.get(field.name)
            if field.name in ("time", "id"):
                wrong = value is not None and not isinstance(value, str)
            else:
                value = [] if value is None else [value] if isinstance(value, str) else value
                wrong = not isinstance(value, Sequence) or not all(isinstance(name, str) for name in value)
                value = value if wrong else tuple(value)
            if wrong:
                raise ZooError(
                    f"data.{field.name}={given.get(field.name)} is not the name of a column; see the file's first line."
                )
            made[field.name] = value
        return cls(**made).checked()

    def checked(self) -> "Roles":
        """Itself, if no column has two roles."""
        seen: dict[str, str] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            for name in (value,) if isinstance(value, str) else value or ():
                if name in seen:
                    what = (
                        f"twice in data.{field.name}"
                        if seen[name] == field.name
                        else f"both data.{seen[name]} and data.{field.name}"
                    )
                    raise ZooError(f"the column {name!r} is {what}; give it one role.")
                seen[name] = field.name
        return self

    @property
    def named(self) -> tuple[str, ...]:
        """All columns that have a role."""
        return (*(name for name in (self.time, self.id) if name), *self.numeric, *self.static)

    @property
    def numeric(self) -> tuple[str, ...]:
        """Columns of numbers over time, targets first."""
        return (*self.targets, *self.past, *self.future)

    def check_columns(self, columns: Sequence[str], where: str) -> None:
        """Raises: ZooError for a column that is not there."""
        for field in fields(self):
            value = getattr(self, field.name)
            for name in (value,) if isinstance(value, str) else value or ():
                if name not in columns:
                    raise ZooError(f"{where} has no column {name!r} (data.{field.name}); {nearest(name, columns)}")

    def with_targets(self, targets: Sequence[str]) -> "Roles":
        """The same with these targets."""
        return replace(self, targets=tuple(targets))
