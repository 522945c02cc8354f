"""Getting CrewAI's tests: the sdist of the installed version, unpacked."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

__all__ = ["fetch"]


def fetch(folder: Path) -> Path:
    """Download the sdist of the installed CrewAI into a folder and unpack it there; the folder that holds `tests`."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    wanted = f"crewai=={version('crewai')}"
    subprocess.run([*command, "--no-binary", "crewai", "--dest", str(folder), wanted], check=True)
    (archive,) = folder.glob("crewai-*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return archive.with_name(archive.name.removesuffix(".tar.gz"))
