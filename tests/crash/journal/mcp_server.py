"""An MCP server with the step tool, over stdin and stdout; its effects are those of the process that has started it."""

from __future__ import annotations

import os
import sys

from mcp.server.fastmcp import FastMCP

from tests.crash.journal.model_server import act, key_of

KEY = key_of(os.getppid())
server = FastMCP("steps", log_level="ERROR")


@server.tool()
def step(number: int, mark: str) -> str:
    """Does one step."""
    return act(sys.argv[1], "step", KEY, number=number, mark=mark)


if __name__ == "__main__":
    server.run()
