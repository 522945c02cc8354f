"""crew_repo."""
