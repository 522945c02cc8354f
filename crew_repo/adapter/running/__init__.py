"""Running a crew: its kickoff is met at each task, and left as the next run has to find it."""
