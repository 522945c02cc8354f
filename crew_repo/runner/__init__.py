"""One run of one crew: what is decided at each boundary, and what is written down."""
