"""Errors of imports.

Pure: no I/O and no clock.
"""

from downloadd.import_operation import ImportErrorCode
from downloadd.policy.redaction import redact_misplaced_url

_MAX_SHOWN_CHARACTERS = 100


class ImportRefusedError(Exception):
    """Import that cannot continue.

    Attributes:
        message: the reason and the remedy, for people; holds no secret.
        code: the reason, for programs.
    """

    def __init__(self, message: str, code: ImportErrorCode = ImportErrorCode.INVALID_FILE) -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class DamagedEntryError(ImportRefusedError):
    """Entry of an archive that cannot be unpacked."""


class UnknownImporterError(ImportRefusedError):
    """Key that no importer has.

    Attributes:
        key: the key, shortened and without secrets.
        known: the keys of all importers.
    """

    def __init__(self, key: str, known: tuple[str, ...]) -> None:
        self.key = redact_misplaced_url(key)[:_MAX_SHOWN_CHARACTERS]
        self.known = known
        super().__init__(
            f"no importer is called {self.key!r}; use one of {', '.join(known)}", ImportErrorCode.UNKNOWN_IMPORTER
        )
