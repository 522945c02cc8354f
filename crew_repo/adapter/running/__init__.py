"""Running a crew: stepping in at each task of a kickoff, and leaving the crew ready for the next one."""
