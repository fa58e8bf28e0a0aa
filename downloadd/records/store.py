"""Protocol of a store: the records of downloads, of imports and of hook deliveries, in one database."""

from typing import Protocol

from downloadd.records.admission import AdmissionRecords
from downloadd.records.deliveries import DeliveryRecords
from downloadd.records.gids import GidRecords
from downloadd.records.hints import Hints
from downloadd.records.import_protocol import ImportRecords
from downloadd.records.kept_parts import KeptPartRecords
from downloadd.records.known_files import KnownFileRecords
from downloadd.records.limits import LimitRecords
from downloadd.records.nodes import NodeRecords
from downloadd.records.protocol import Records
from downloadd.records.results import ResultRecords
from downloadd.records.runs import RunRecords
from downloadd.records.schedules import ScheduleRecords
from downloadd.records.storage_roots import StorageRootRecords
from downloadd.records.user_days import UserDays
from downloadd.records.user_files import UserFiles
from downloadd.records.users import UserRecords
from downloadd.records.waiting_list import QueueRecords
from downloadd.remote_upload import UploadRecords


class Store(Records, Protocol):
    """All records, which the composition root opens; each component gets the protocols that it needs.

    The end of a download, the deliveries about it and the outcome of its file in an import change in one transaction.
    """

    @property
    def imports(self) -> ImportRecords:
        """The records of imports."""
        ...

    @property
    def deliveries(self) -> DeliveryRecords:
        """The records of hook deliveries."""
        ...

    @property
    def queue(self) -> QueueRecords:
        """The waiting list."""
        ...

    @property
    def results(self) -> ResultRecords:
        """The list of results."""
        ...

    @property
    def gids(self) -> GidRecords:
        """Lookup by gid."""
        ...

    @property
    def kept_parts(self) -> KeptPartRecords:
        """Part files that are kept of ended downloads."""
        ...

    @property
    def known_files(self) -> KnownFileRecords:
        """Files of completed downloads that can be recognised."""
        ...

    @property
    def storage_root(self) -> StorageRootRecords:
        """The storage root that was used last."""
        ...

    @property
    def uploads(self) -> UploadRecords:
        """The multipart uploads to object storage."""
        ...

    @property
    def user_days(self) -> UserDays:
        """The bytes that users have received on a day."""
        ...

    @property
    def user_files(self) -> UserFiles:
        """The files of users."""
        ...

    @property
    def schedules(self) -> ScheduleRecords:
        """The schedules."""
        ...

    @property
    def limits(self) -> LimitRecords | None:
        """The limits that users have changed for all nodes; None in a store that only this node can use."""
        ...

    @property
    def users(self) -> UserRecords | None:
        """The users that were made by command; None in a store that only this node can use."""
        ...

    @property
    def hints(self) -> Hints:
        """Hints of changes to the other nodes, and from them."""
        ...

    @property
    def nodes(self) -> NodeRecords:
        """The nodes that share the store."""
        ...

    @property
    def admission(self) -> AdmissionRecords | None:
        """The admission over several nodes; None in a store that only this node can use."""
        ...

    @property
    def runs(self) -> RunRecords:
        """The runs of all nodes."""
        ...
