"""The trainer proper. It imports torch and numpy only, so that it can travel to a machine with nothing else."""
