"""What can go wrong on the wire, as two errors of the project's tree. No text of a record ever stands in one (P7)."""

from handlers.domain.errors import WorkerError


class Unreadable(WorkerError):  # noqa: N818 - a condition, named as the dead letters name it
    """These bytes are no record that we can read, now or later: a dead letter. `why` is for people."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class SchemaRefused(WorkerError):  # noqa: N818 - a condition, not a fault
    """The registry will not take our schema for `subject`: someone must look before the worker can start."""

    def __init__(self, subject: str, why: str) -> None:
        super().__init__(f"the schema registry refuses our schema for {subject}: {why}")
        self.subject = subject
        self.why = why
