"""A power cut for the doubles: the process is gone before or after any one effect. The doubles ask at both."""

from collections.abc import Callable
from dataclasses import dataclass, field


class PowerCut(BaseException):
    """Everything stops here; only what was stored stays. No error: nobody may catch it."""


@dataclass
class Power:
    """Notes every point that is passed; cuts at the point number `cut_at`, counted from 0, once.

    `before` names what happens in the world just before a call takes effect.
    """

    cut_at: int | None = None
    passed: list[str] = field(default_factory=list)
    before: dict[str, Callable[[], None]] = field(default_factory=dict)

    def point(self, name: str) -> None:
        """One point of a port's call. Raises PowerCut where it is the one."""
        self.passed.append(name)
        if self.cut_at == len(self.passed) - 1:
            raise PowerCut(name)
        if name in self.before:
            self.before[name]()

    @property
    def calls(self) -> list[str]:
        """The calls whose effect took place, in order."""
        return [name.removesuffix(" done") for name in self.passed if name.endswith(" done")]
