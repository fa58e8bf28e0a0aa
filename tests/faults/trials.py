"""One life of a daemon that a fault strikes, what comes after it, and what must be true then."""

from pathlib import Path

from faults.lives import Ended, Life, Nursery, recovery
from origin.answer import Answer, failure
from origin.content import expected_bytes
from origin.origin import Origin

SIZES = {
    "small": 20_000,
    "other": 20_000,
    "broken": (4 << 20) + 200_000,
    "segments": 600_000,
    "held": 20_000,
    "stalled": 20_000,
    "missing-at-first": 20_000,
}
CONTENTS = {name: expected_bytes(seed, 0, size) for seed, (name, size) in enumerate(SIZES.items())}
WHOLE = {
    name: Answer(size=size, seed=seed, etag=f'"{seed}"', keep_alive=False)
    for seed, (name, size) in enumerate(SIZES.items())
}


def rude(name: str) -> list[Answer]:
    """What the origin answers before the daemon is killed."""
    whole = WHOLE[name]
    match name:
        case "broken":
            return [replaced(whole, cut_after=4 << 20), whole]
        case "segments":
            return [replaced(whole, rate=2_500_000)]
        case "held":
            return [replaced(whole, stall_after=10_000), whole]
        case "stalled":
            return [replaced(whole, stall_after=10_000)]
        case "missing-at-first":
            return [failure(404), whole]
        case _:
            return [whole]


def replaced(answer: Answer, **changes: object) -> Answer:
    """The answer with these fields changed."""
    fields = {name: getattr(answer, name) for name in Answer.__struct_fields__}
    return Answer(**{**fields, **changes})


class Trial:
    """One life that is cut off, what comes after it, and what must be true then."""

    def __init__(self, folder: Path, origin: Origin, nursery: Nursery, plot: str) -> None:
        folder.mkdir()
        self.folder = folder
        self._nursery = nursery
        self._origin = origin
        self._plot = plot
        self._told: list[Ended] = []
        for name in SIZES:
            origin.script(f"/{folder.name}/{name}", rude(name))

    async def live(
        self, strike_at: int, *, fault: str | None = None, lifted_after: int = 1, from_birth: bool = False
    ) -> Ended:
        """The plot, struck at this point; afterwards the origin is polite."""
        ended = await self._live(self._plot, strike_at, from_birth, fault, lifted_after)
        for name in SIZES:
            self._origin.script(f"/{self.folder.name}/{name}", WHOLE[name])
        return ended

    async def recover(self, strike_at: int = 0) -> Ended:
        """The next start, which may be killed too."""
        return await self._live(recovery.__name__, strike_at, from_birth=True)

    async def _live(
        self, plot: str, strike_at: int, from_birth: bool, fault: str | None = None, lifted_after: int = 1
    ) -> Ended:
        ended = await self._nursery.live(
            Life(
                folder=str(self.folder),
                plot=plot,
                origin=self._origin.url(f"/{self.folder.name}"),
                strike_at=strike_at,
                fault=fault,
                lifted_after=lifted_after,
                from_birth=from_birth,
            )
        )
        self._told.append(ended)
        for path in self._files():
            assert path.read_bytes() in CONTENTS.values(), f"{path} is not whole"
        return ended

    def _files(self) -> list[Path]:
        root = self.folder / "files"
        return [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]

    def judge(self) -> None:
        """Nothing accepted is lost, nothing is there twice, every name has the bytes of its own download."""
        last = self._told[-1]
        rows = [line.split(" ", 3) for line in last.told("row")]
        ids = [id for id, *_ in rows]
        accepted = [id for ended in self._told for id in ended.told("accepted")]
        assert len(ids) == len(set(ids))
        assert set(accepted) <= set(ids)
        # What was written down in the moment of the kill was not answered yet.
        assert len(ids) <= len(accepted) + 1
        states = {id: state for id, state, *_ in rows}
        for line in (line for ended in self._told for line in ended.told("ended")):
            id, state = line.split()
            assert states[id] == state, self._told
        assert set(states.values()) <= {"completed", "skipped", "cancelled", "failed"}
        faulty = any(ended.told("refuse") for ended in self._told)
        if self._plot != "failed_and_retried" and not faulty:
            assert "failed" not in states.values(), rows
        # The one that ended last has the name.
        owners = {path: url.rpartition("/")[2] for _, state, url, path in reversed(rows) if state == "completed"}
        whose = {content: name for name, content in CONTENTS.items()}
        found = {str(path.relative_to(self.folder / "files")): whose[path.read_bytes()] for path in self._files()}
        for path in {path for _, state, _, path in rows if state == "failed" and faulty} - set(owners):
            # The name was given and could neither be made lasting nor taken back: a whole file all the same.
            found.pop(path, None)
        for path in {path for _, state, _, path in rows if state == "failed" and faulty} & set(owners):
            found[path] = owners[path]
        assert found == owners, f"{found} is there instead of {owners}: {self._told}"

    def judge_pause(self) -> None:
        """What was told to be paused is paused after the kill, unless it was taken back."""
        first, *later = self._told
        resumed = {*first.told("resumed"), *(line.split()[0] for line in first.told("ended"))}
        for id in set(first.told("paused")) - resumed:
            found = [id for ended in later for id in ended.told("still-paused")]
            assert id in found
