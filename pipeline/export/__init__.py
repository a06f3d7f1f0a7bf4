"""Export: a trained model as an ONNX graph, which other runtimes compute.

`graph` builds graphs, `network` puts the recurrent stack and its head into one, `records` and `text` what is around it.
"""

from .error import ExportError
from .graph import NEXT
from .to_onnx import to_onnx

__all__ = ["NEXT", "ExportError", "to_onnx"]
