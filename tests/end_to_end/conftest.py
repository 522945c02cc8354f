"""Shared by the tests of whole crews."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_store_of_knowledge(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A test of knowledge finds nothing in CrewAI's vector store that another one has put there."""
    if "knowledge" in request.node.nodeid:
        monkeypatch.setattr("crewai.rag.chromadb.config.DEFAULT_STORAGE_PATH", str(tmp_path / "vectors"))
