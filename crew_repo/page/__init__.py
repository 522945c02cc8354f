"""The looks of a page: templates, the drawing of a graph, and texts that do nothing but stand there.

It knows nothing of the model, whose objects its templates show: in a report, and in a notebook.
"""

from __future__ import annotations

from crew_repo.page.rendering import rendered

__all__ = ["rendered"]
