"""Models of graphs: one file a family, its names (CONFIGS) beside its class."""
