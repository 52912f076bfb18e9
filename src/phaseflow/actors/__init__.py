"""Four actors a job, one a phase. They do the work, and report; the supervisor decides what it means."""
