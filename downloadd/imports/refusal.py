"""Why an import is refused, in the manner of Rocket.Chat: a message and a code of its own.

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
    """The import cannot go on; `message` says why and what to do, and holds no secret.

    Attributes:
        message: for people.
        code: for programs.
    """

    def __init__(self, message: str, code: RefusalCode = RefusalCode.INVALID_FILE) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
