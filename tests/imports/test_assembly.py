"""The service of imports, as the configuration constructs it."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

from support.app_config import config_for
from support.clocks import ManualClock

from downloadd.events import EventBus
from downloadd.imports.assembly import assemble_imports
from downloadd.metrics import Metrics
from downloadd.policy.directories import DirectoryRules
from downloadd.rights import Rights


async def test_the_service_is_constructed_without_an_import_under_way(tmp_path: Path) -> None:
    parts: Any = Mock()
    parts.records.is_shared = False
    service = assemble_imports(
        config_for(tmp_path),
        store=parts.records,
        downloads=parts.downloads,
        destination=parts.destination,
        bus=EventBus(),
        clock=ManualClock(),
        rights=Rights(directories=DirectoryRules(), is_enabled=True),
        root=str(tmp_path),
        metrics=Metrics().imports,
        reclaim=parts.reclaim,
    )
    assert service.active_operations == 0
