"""An environment from which the service could run."""

from __future__ import annotations

import pytest

from agent.install import python_env as environment


@pytest.fixture
def workable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow installation from the environment of the tests, from which the service could not run."""
    monkeypatch.setattr(environment, "needed_paths", tuple)
    monkeypatch.setattr(environment, "image_problems", lambda _root, _program: ())
