"""Base class of the errors that have a code, and the points at which one can be reported.

Pure: no I/O and no clock.
"""

from enum import Enum, EnumType, StrEnum
from typing import TYPE_CHECKING, ClassVar, cast

if TYPE_CHECKING:

    class _ErrorCodeType(EnumType):
        # The members are collected from the classes when `downloadd.errors` is imported.
        def __getattr__(cls, name: str) -> "ErrorCode": ...

    class ErrorCode(StrEnum, metaclass=_ErrorCodeType):
        """Code of an error, for programs."""


class Occasion(Enum):
    """Point at which an error can be reported; the operations of the API document list their errors by it."""

    QUERY = "query"
    """A request has a parameter that is not valid."""
    BODY = "body"
    """The body of a request is read."""
    AUTHENTICATION = "authentication"
    """A request has to prove who sends it."""
    ADMISSION = "admission"
    """New downloads are requested; nothing is recorded of them when they are refused."""
    START = "start"
    """A start is refused; the refusal has a download id and stands in the history."""
    END = "end"
    """A download finishes without success."""
    READ = "read"
    """Downloads or imports are read."""
    ACTION = "action"
    """A download is cancelled, paused, resumed, retried or changed."""
    IMPORT = "import"
    """An import operation starts or continues."""
    UPLOAD = "upload"
    """An uploaded file is stored."""
    ANY_REQUEST = "any request"
    """Any request, with or without credentials."""


class DownloadError(Exception):
    """Base of every error that has a code.

    A direct subclass is a row of the table of errors: it declares all attributes below without a default. A subclass
    of such a class is a case of the same error. Instances hold the facts of one case.

    Attributes:
        detail: one sentence about this case and, where it helps, what to do. It never holds a secret.
        retry_after: seconds to wait that the other side asks for, or None.
        invalidates_part: no attempt may continue from the received bytes; mostly, they are not those of the file.
        origin_status: status of the response that is the error, or None.
    """

    code: ClassVar["ErrorCode"]
    status: ClassVar[int]
    """HTTP status of a response that reports this error."""
    title: ClassVar[str]
    description: ClassVar[str]
    """Sentence that says what happened, without a full stop."""
    resolution: ClassVar[str]
    """Sentence that says what a user can do, without a full stop."""
    advice: ClassVar[str]
    """Further help for the reference, in Markdown."""
    occasions: ClassVar[frozenset[Occasion]]
    sends_retry_after: ClassVar[bool] = False
    """True if a response that reports this error can have a `Retry-After` field."""
    concerns_source: ClassVar[bool] = False
    """True if the cause lies with one source of a download, so that a mirror may succeed."""

    invalidates_part: bool = False
    origin_status: int | None = None

    def __init_subclass__(cls, *, code: str = "") -> None:
        """Declare `code` for a row; a class without it inherits the row of its base."""
        if code:
            # `downloadd.errors` puts the member of `ErrorCode` in place of the string.
            cls.code = cast("ErrorCode", code)

    def __init__(self, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after = retry_after

    @property
    def transient(self) -> bool:
        """True if the same request may succeed later."""
        return False
