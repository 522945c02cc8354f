"""Many inputs through one crew."""
