"""Write a model as a file that another engine serves: ONNX Runtime, PyTorch without this package, timm, transformers, vLLM.

    python -m zoo export runs/<a run> --to torch_export --out model.pt2
    python -m zoo export runs/<a run> --to onnx --out model.onnx

What is written is run by that engine and compared with ours at other sizes (batches, lengths, graphs) than it was made at. The
largest difference is told; above 1e-4 (of outputs above 1: of the largest) nothing is left behind. docs/export.md says how to
run each.
"""

import argparse

from zoo.console import table


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, for which engine, where to."""
    from zoo.exports import TARGETS

    parser.add_argument("name", metavar="NAME", help="a run's folder, a model folder, or what else zoo.load reads")
    parser.add_argument("--to", required=True, metavar="ENGINE", help=f"one of {', '.join(TARGETS)}")
    parser.add_argument("--out", required=True, metavar="PATH", help="the file, of transformers the folder")
    parser.add_argument(
        "--kernel", help="of graphs: sdpa, edge_list or reference for each attention (the first that can)"
    )
    parser.add_argument(
        "--trust",
        metavar="PACKAGE",
        action="append",
        default=[],
        help="a package of your own that NAME's config may name",
    )


def run(options: argparse.Namespace) -> None:
    """Load, write, compare, tell."""
    import zoo
    from zoo.exports import TOLERANCE

    model = zoo.load(options.name, trust=options.trust)
    made = zoo.export(model, options.to, options.out, kernel=options.kernel)
    difference = f"{made.difference:.2g} (at most {TOLERANCE:g})"
    table([*made.told.items(), ("largest difference", difference)], f"{made.path}   {options.to}")
