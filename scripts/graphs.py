"""Writes ``nst_core/graphs/``: what PyTorch's exporter makes of each architecture, so that no style's export needs it.

    python scripts/graphs.py

Run it again when an architecture is new, or computes something else.
"""

from nst_core.architectures import VERSIONS
from nst_core.exporting import DTYPES, GRAPHS, write_graph

GRAPHS.mkdir(exist_ok=True)
for architecture in VERSIONS.values():
    for precision in DTYPES:
        write_graph(architecture, precision)
