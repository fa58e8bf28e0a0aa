"""Why an import is refused, in the manner of Rocket.Chat: a sentence and a code of its own.

Pure: no I/O and no clock.
"""

from enum import StrEnum


class RefusalCode(StrEnum):
    """The `errorType` of an answer."""

    IMPORTER_NOT_DEFINED = "error-importer-not-defined"
    INVALID_PARAMS = "error-invalid-params"
    INVALID_FILE = "error-invalid-file"
    FILE_TOO_LARGE = "error-file-too-large"
    NOT_READY = "error-import-operation-invalid"
    NOTHING_SELECTED = "error-nothing-selected"


class ImportRefusedError(Exception):
    """The import cannot go on; `sentence` says why and what to do, and holds no secret.

    Attributes:
        sentence: for people.
        code: for programs.
    """

    def __init__(self, sentence: str, code: RefusalCode = RefusalCode.INVALID_FILE) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.code = code
