"""Notebooks, executed by nbclient on a kernel that begins at once: forked from a process that has imported all."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import nbformat
from jupyter_client.provisioning import LocalProvisioner
from nbclient import NotebookClient

from tests.playing import EXAMPLES
from tests.processes import ROOT, begin

__all__ = ["run_notebook", "texts_of"]

SECONDS = 120


def run_notebook(notebook: Path, folder: Path) -> Any:
    """The notebook with the outputs that its cells give when it is executed in `folder`."""
    environment = {
        **os.environ,
        "OPENAI_API_KEY": "",
        "OFFLINE_SECONDS": "0.01",
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(EXAMPLES))),
    }
    client = NotebookClient(
        nbformat.read(notebook, as_version=4),
        timeout=SECONDS,
        startup_timeout=SECONDS,
        resources={"metadata": {"path": str(folder)}},
    )
    with patch.object(LocalProvisioner, "launch_kernel", _launch):
        return client.execute(env=environment)


def texts_of(notebook: Any) -> list[str]:
    """The text that each cell with code shows: printed, or as a table. The panels of an older CrewAI are left out."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return ["".join(_text(each) for each in cell.outputs if each.output_type != "display_data") for cell in cells]


def _text(output: Any) -> str:
    text: str = output.text if "text" in output else output.data["text/html"]
    return text


class _Kernel:
    """A forked process, as the provisioner knows one: with the methods of a Popen."""

    stdin = stdout = stderr = None

    def __init__(self, process: Any) -> None:
        self._process, self.pid = process, process.pid

    def poll(self) -> int | None:
        return self._process.exitcode  # type: ignore[no-any-return]

    def wait(self, timeout: float | None = None) -> int | None:
        self._process.join(timeout)
        return self.poll()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


async def _launch(self: Any, cmd: Sequence[str], *, env: Mapping[str, str], cwd: str, **_: Any) -> Any:
    """The provisioner's own method, but for how the process begins. Its group is that of the tests: no `pgid`."""
    self.process = _Kernel(begin(Path(cwd, "kernel-report"), _serve, cmd, dict(env), cwd))
    self.pid, self.pgid, self.cwd = self.process.pid, None, cwd
    return self.connection_info


def _serve(cmd: Sequence[str], environment: Mapping[str, str], folder: str) -> None:
    """The work of `python -m ipykernel_launcher`."""
    os.environ.clear()
    os.environ.update(environment, JPY_PARENT_PID=str(os.getppid()))  # the kernel ends with that process
    os.chdir(folder)
    sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
    sys.argv = ["ipykernel_launcher", *cmd[cmd.index("-f") :]]
    from ipykernel import kernelapp  # only now: it reads the environment as it is imported

    kernelapp.launch_new_instance()
