"""Models of images: one file a family, its names (CONFIGS) beside its class."""
