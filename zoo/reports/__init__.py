"""Studies that train, print a table and draw a figure: `python -m zoo report NAME key=value ...`.

A study is a module of this package that stands in `REPORTS`; its docstring explains it, `run(words)` does it.
"""

#: name -> module
REPORTS = {
    "adapters": "zoo.reports.adapters",
    "baselines": "zoo.reports.baselines",
    "cache": "zoo.reports.cache",
    "coverage": "zoo.reports.coverage",
    "history": "zoo.reports.history",
    "leaks": "zoo.reports.leaks",
    "oversmoothing": "zoo.reports.oversmoothing",
    "perplexity": "zoo.reports.perplexity",
    "senses": "zoo.reports.senses",
}
