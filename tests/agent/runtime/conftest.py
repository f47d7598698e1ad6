"""Folders for the tests of outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def sticky(tmp_path: Path) -> Path:
    """A folder like /tmp, whose owner is neither root nor nobody, so that no test file has the same owner."""
    folder = tmp_path / "sticky"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder
