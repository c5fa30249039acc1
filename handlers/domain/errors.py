"""Our small error tree. Refusals, declines and unknowns are values, not errors; these are for the world failing."""


class WorkerError(Exception):
    """Root of everything that this project raises on purpose. The text says what to do next."""


class InvalidValueError(WorkerError):
    """A value from outside breaks a rule: `field` names it, `rule` says which values are allowed."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class Unavailable(WorkerError):  # noqa: N818 - a condition, named as the promises name it
    """Something outside is down (`what`). Intake pauses; what is in flight is kept and tried again."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} is unavailable: {why}")
        self.what = what
        self.why = why


class SessionOver(WorkerError):  # noqa: N818 - a condition, not a fault
    """This session may write and send no more: expired, ended by another, or its journal lost time."""
