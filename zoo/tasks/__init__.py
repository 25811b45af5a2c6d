"""One LightningModule a task. A task trains a model it is given; it knows no model by name."""
