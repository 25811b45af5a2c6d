"""The kinds of places where trained weights lie, a class each; zoo.pretrained.sources knows which one a place is of."""
