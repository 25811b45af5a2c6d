"""What train.py needs around a model, a task and data: run folders, resuming, sweeps, logs and the summary."""
