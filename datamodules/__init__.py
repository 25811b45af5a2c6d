"""Data sets as Lightning data modules. They know no model: `facts` and `preprocess` say what one must fit."""
