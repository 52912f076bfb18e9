"""How a job runs: one supervisor a job, one scheduler for all. Only here is a transition decided."""
