"""One LightningModule a task. A task trains a model it is given; it knows no model by name.

`from zoo.tasks import Step, Task` is what a task of one's own begins with.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.tasks.classification import Classification
    from zoo.tasks.extractive_qa import ExtractiveQA
    from zoo.tasks.forecasting import Forecasting
    from zoo.tasks.language_modelling import LanguageModelling
    from zoo.tasks.masked_patches import MaskedPatches
    from zoo.tasks.task import RowMetric, Task
    from zoo.tasks.token_classification import TokenClassification
    from zoo.tasks.totals import Step, labelled
    from zoo.tasks.translation import Translation

#: What is looked for in which file, on first use: Lightning takes seconds to import.
WHERE = {
    "Classification": "classification",
    "ExtractiveQA": "extractive_qa",
    "Forecasting": "forecasting",
    "LanguageModelling": "language_modelling",
    "MaskedPatches": "masked_patches",
    "RowMetric": "task",
    "Step": "totals",
    "Task": "task",
    "TokenClassification": "token_classification",
    "Translation": "translation",
    "labelled": "totals",
}

__all__ = [
    "Classification",
    "ExtractiveQA",
    "Forecasting",
    "LanguageModelling",
    "MaskedPatches",
    "RowMetric",
    "Step",
    "Task",
    "TokenClassification",
    "Translation",
    "labelled",
]


def __getattr__(name: str) -> Any:
    if name not in WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{WHERE[name]}"), name)
