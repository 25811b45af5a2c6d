"""Pictures of the parts of an attention: one file an axis, one function `draw(part, sizes, ...) -> Figure` in each."""
