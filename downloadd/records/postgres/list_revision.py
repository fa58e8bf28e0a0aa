"""Number that grows with the changes of the waiting list and of the ended downloads, by all nodes."""

from collections.abc import Sequence

from downloadd.clock import Clock
from downloadd.records.hints import Hints, Topic
from downloadd.records.postgres.writer import Writer


class ListRevision:
    """Revision of the lists: the commits of this node, the hints of others, and the seconds, as a hint can be lost."""

    def __init__(self, writer: Writer, hints: Hints, clock: Clock | None) -> None:
        """Follow a writer; without a clock, no other node changes the lists."""
        self._writer = writer
        self._hints = hints
        self._clock = clock
        self._hinted = 0
        writer.on_lists_changed = self._hint
        for topic in (Topic.QUEUE, Topic.ENDS):
            hints.subscribe(topic, self._count)

    def read(self) -> int:
        """Return the number."""
        seconds = 0 if self._clock is None else int(self._clock.monotonic())
        return self._writer.list_revision + self._hinted + seconds

    def _hint(self) -> None:
        self._hints.send(Topic.QUEUE)

    def _count(self, ids: Sequence[str]) -> None:
        self._hinted += 1
