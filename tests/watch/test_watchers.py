import json
from pathlib import Path

from support.import_stack import DIRECTORY, ImportStack
from support.waiting import wait_until

from downloadd.config import WatchConfig
from downloadd.watch.watchers import Watchers


async def test_each_folder_has_a_watcher_that_ends_with_them(stack: ImportStack, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
        (folder / "links.txt").write_text(f"http://h/{folder.name}\n")
    configs = [WatchConfig(path=str(folder), user=folder.name, settle=0) for folder in folders]
    async with (
        stack.make_service() as imports,
        Watchers(configs, imports=imports, directory=DIRECTORY, clock=stack.clock),
    ):
        await wait_until(lambda: any((folder / "done" / "links.txt").exists() for folder in folders))
        stack.clock.now += 1
        await wait_until(lambda: all((folder / "done" / "links.txt").exists() for folder in folders))
    results = [json.loads((folder / "done" / "links.txt.result.json").read_text()) for folder in folders]
    assert len({result["directory"] for result in results}) == 2
    assert sorted((request.url, request.operation is not None) for request in stack.downloads.requests) == [
        ("http://h/a", True),
        ("http://h/b", True),
    ]
