"""What happens around training: averaging, checkpoints, the watch for NaN, figures."""
