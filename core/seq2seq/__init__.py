"""From sequence to sequence: the encoder–decoder, which reads all of a sequence and then writes another.

From the bottom up: `scores` and `attention`; `bridge`, from one state to the other; `network`, what it is without its
parameters; `passes` over the batches of one shape; `encoder_decoder`, the model; `decoding`, what it writes;
`translator`, the model with its vocabularies; `table`, all models of the core by the name in their configs.
"""

from .decoding import Hypothesis, beam, greedy
from .translator import Alignment, Translated

__all__ = ["Alignment", "Hypothesis", "Translated", "beam", "greedy"]
