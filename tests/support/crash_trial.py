"""Run with a fault, the runs after it, and the invariants that must hold then."""

from pathlib import Path

from support.crash_runner import CrashResult, CrashRun, ForkServer, queue_found, recovery
from support.origin.content import expected_bytes
from support.origin.origin import Origin
from support.origin.scripted_response import ScriptedResponse, error_response

SIZES = {
    "small": 20_000,
    "other": 20_000,
    "broken": (4 << 20) + 200_000,
    "segments": 600_000,
    "held": 20_000,
    "stalled": 20_000,
    "missing-at-first": 20_000,
    "forbidden-at-first": 20_000,
    "forbidden": 20_000,
    "typed": 20_001,
}
CONTENTS = {name: expected_bytes(seed, 0, size) for seed, (name, size) in enumerate(SIZES.items())}
WHOLE = {
    name: ScriptedResponse(size=size, seed=seed, etag=f'"{seed}"', keep_alive=False)
    for seed, (name, size) in enumerate(SIZES.items())
}


def faulty_answers(name: str) -> list[ScriptedResponse]:
    """Return the responses of the origin until the daemon is killed."""
    complete = WHOLE[name]
    match name:
        case "broken":
            return [replaced(complete, cut_after=4 << 20), complete]
        case "segments":
            return [replaced(complete, rate=2_500_000)]
        case "held":
            return [replaced(complete, stall_after=10_000), complete]
        case "stalled":
            return [replaced(complete, stall_after=10_000)]
        case "forbidden-at-first":
            return [replaced(complete, cut_after=10_000), error_response(403), complete]
        case "forbidden":
            return [replaced(complete, cut_after=10_000), error_response(403)]
        case "typed":
            # Afterwards it has no type that says anything.
            return [replaced(complete, content_type="video/mp4")]
        case "missing-at-first":
            return [error_response(404), complete]
        case _:
            return [complete]


def replaced(answer: ScriptedResponse, **changes: object) -> ScriptedResponse:
    """Return the response with these fields changed."""
    fields = {name: getattr(answer, name) for name in ScriptedResponse.__struct_fields__}
    return ScriptedResponse(**{**fields, **changes})


class CrashTrial:
    """Run that a fault interrupts, the recovery, and the invariants."""

    def __init__(
        self, folder: Path, origin: Origin, fork_server: ForkServer, scenario: str, *, has_commit_process: bool = False
    ) -> None:
        folder.mkdir()
        self.folder = folder
        self._fork_server = fork_server
        self._origin = origin
        self._scenario = scenario
        self._has_commit_process = has_commit_process
        self._results: list[CrashResult] = []
        for name in SIZES:
            origin.script(f"/{folder.name}/{name}", faulty_answers(name))

    async def run(
        self, fault_at: int, *, fault: str | None = None, fault_count: int = 1, from_start: bool = False
    ) -> CrashResult:
        """Run the scenario with a fault at this point; the origin serves complete files afterwards."""
        ended = await self._run_once(self._scenario, fault_at, from_start, fault, fault_count)
        for name in SIZES:
            self._origin.script(f"/{self.folder.name}/{name}", WHOLE[name])
        return ended

    async def recover(self, fault_at: int = 0) -> CrashResult:
        """Start again; this run may be killed too."""
        return await self._run_once(recovery.__name__, fault_at, from_start=True)

    async def look_at_queue(self) -> CrashResult:
        """Start again, and record what is there of the queue."""
        return await self._run_once(queue_found.__name__, 0, from_start=False)

    async def _run_once(
        self, scenario: str, fault_at: int, from_start: bool, fault: str | None = None, fault_count: int = 1
    ) -> CrashResult:
        ended = await self._fork_server.run(
            CrashRun(
                folder=str(self.folder),
                scenario=scenario,
                origin=self._origin.url(f"/{self.folder.name}"),
                fault_at=fault_at,
                fault=fault,
                fault_count=fault_count,
                from_start=from_start,
                has_commit_process=self._has_commit_process,
            )
        )
        self._results.append(ended)
        for path in self._files():
            assert path.read_bytes() in CONTENTS.values(), f"{path} is not whole"
        return ended

    def _files(self) -> list[Path]:
        root = self.folder / "files"
        return [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]

    def assert_consistent(self) -> None:
        """Assert that no accepted download is lost or doubled, and each name has the bytes of its own download."""
        last = self._results[-1]
        rows = [line.split(" ", 3) for line in last.values("row")]
        ids = [id for id, *_ in rows]
        accepted = [id for ended in self._results for id in ended.values("accepted")]
        assert len(ids) == len(set(ids))
        assert set(accepted) <= set(ids)
        # A row that was committed at the moment of the kill was not answered yet.
        assert len(ids) <= len(accepted) + 1
        states = {id: state for id, state, *_ in rows}
        for line in (line for ended in self._results for line in ended.values("ended")):
            id, state = line.split()
            assert states[id] == state, self._results
        assert set(states.values()) <= {"completed", "skipped", "cancelled", "failed"}
        faulty = any(ended.values("refuse") for ended in self._results)
        if not self._scenario.startswith("failed_") and not faulty:
            assert "failed" not in states.values(), rows
        # The download that finished last has the name.
        owners = {path: url.rpartition("/")[2] for _, state, url, path in reversed(rows) if state == "completed"}
        whose = {content: name for name, content in CONTENTS.items()}
        found = {str(path.relative_to(self.folder / "files")): whose[path.read_bytes()] for path in self._files()}
        for path in {path for _, state, _, path in rows if state == "failed" and faulty} - set(owners):
            # The name was set, and could be neither synced nor removed; the file is complete.
            found.pop(path, None)
        for path in {path for _, state, _, path in rows if state == "failed" and faulty} & set(owners):
            found[path] = owners[path]
        assert found == owners, f"{found} were found instead of {owners}: {self._results}"

    def assert_kept_parts_are_whole_so_far(self) -> None:
        """Assert that the records mention no bytes of a kept part file that it does not have."""
        last = self._results[-1]
        names = {id: url.rpartition("/")[2] for id, _, url, _ in (row.split(" ", 3) for row in last.values("row"))}
        for line in last.values("kept"):
            id, received, path = line.split(" ", 2)
            stored = (self.folder / "files" / path).read_bytes()[: int(received)]
            assert int(received) > 0
            assert stored == CONTENTS[names[id]][: int(received)]

    def assert_names_kept(self) -> None:
        """Assert that each renamed download has the last name that was answered, and lost no byte on disk."""
        first, *_, last = self._results
        renamed: dict[str, list[str]] = {}
        for line in first.values("renamed"):
            id, path = line.split(" ", 1)
            renamed.setdefault(id, []).append(path)
        paths = {id: path for id, _, _, path in (row.split(" ", 3) for row in last.values("row"))}
        for id, names in renamed.items():
            # A later change may be recorded though it was not answered.
            assert paths[id] == names[-1] or paths[id] not in {"d/held", *names}, self._results
        requests = self._origin.requests(f"/{self.folder.name}/held")
        if renamed:
            assert sum(request.field("Range") is None for request in requests) == 1, self._results

    def assert_places_kept(self) -> None:
        """Assert that the directory is the one that was decided, though the response after the kill is another one."""
        first, *_, last = self._results
        paths = {id: path for id, _, _, path in (row.split(" ", 3) for row in last.values("row"))}
        for line in first.values("decided"):
            id, path = line.split(" ", 1)
            assert paths[id] == path, self._results

    def assert_pauses_kept(self) -> None:
        """Assert that each paused download is paused after the kill unless it was resumed."""
        first, *later = self._results
        resumed = {*first.values("resumed"), *(line.split()[0] for line in first.values("ended"))}
        for id in set(first.values("paused")) - resumed:
            found = [id for ended in later for id in ended.values("still-paused")]
            assert id in found
