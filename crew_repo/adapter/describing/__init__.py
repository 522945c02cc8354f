"""Describing a crew: each part that can change the answer of a task becomes a component with a readable path."""
