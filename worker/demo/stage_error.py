"""The one error of the stage. What it says is shown to a person as it is; no logic lives here."""


class StageError(Exception):
    """Something that the stage needs is not there or died; the text says what, and what to do next."""
