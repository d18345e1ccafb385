"""Training: the train loop, its programs, checkpoints, placement on devices and cost."""
