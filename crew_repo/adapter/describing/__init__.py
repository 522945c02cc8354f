"""Describing a crew: every part that can change the answer of a task, as components with readable paths."""
