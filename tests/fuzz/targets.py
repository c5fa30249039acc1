"""Everything that is fuzzed, and which share of the inputs each target gets. No claims here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tests.fuzz.cases import Target
from tests.fuzz.records import Records
from tests.fuzz.replies import Answers, Questions
from tests.fuzz.schemas import Schemas
from tests.fuzz.settings import SettingsFiles


@dataclass(frozen=True, slots=True)
class Share:
    """How to make a target with a folder of its own, and how many of a hundred inputs it gets."""

    make: Callable[[Path], Target]
    of_hundred: int


TARGETS: Final[Mapping[str, Share]] = MappingProxyType(
    {
        Records.name: Share(Records, 44),
        Schemas.name: Share(lambda _: Schemas(), 8),
        Answers.name: Share(lambda _: Answers(), 30),
        Questions.name: Share(lambda _: Questions(), 16),
        SettingsFiles.name: Share(SettingsFiles, 2),
    }
)


def inputs_of(name: str, inputs: int) -> int:
    """How many of all inputs the target gets."""
    return inputs * TARGETS[name].of_hundred // 100
