"""Id of the state directory."""

import os
from pathlib import Path

import pytest

from downloadd.cluster.instance import INSTANCE_FILE_NAME, ensure_instance_id
from downloadd.errors import StartupError


def test_the_id_stays_and_others_have_another(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    id = ensure_instance_id(tmp_path)
    assert ensure_instance_id(tmp_path) == id
    assert ensure_instance_id(tmp_path / "other") != id
    assert os.listdir(tmp_path / "other") == [INSTANCE_FILE_NAME]


@pytest.mark.parametrize("content", [b"", b"\xff", b"no id"])
def test_a_damaged_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / INSTANCE_FILE_NAME).write_bytes(content)
    id = ensure_instance_id(tmp_path)
    assert ensure_instance_id(tmp_path) == id != ""


def test_a_file_that_cannot_be_used_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / INSTANCE_FILE_NAME).mkdir()
    with pytest.raises(StartupError, match=f"{INSTANCE_FILE_NAME}: Is a directory"):
        ensure_instance_id(tmp_path)
    with pytest.raises(StartupError, match=INSTANCE_FILE_NAME):
        ensure_instance_id(tmp_path / "missing")
