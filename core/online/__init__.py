"""Learning from records as they come, without any concurrency.

`Schema` says what of a record is used; the `Encoder` makes a model's inputs of it, with running scales (`standardise`)
and tables of categories; `scores` say how good forecasts are, beside naive ones; `RecordModel` is what a file holds.
"""

from .encoder import Encoder
from .record_model import RecordModel
from .schema import Feature, Schema, Target

__all__ = ["Encoder", "Feature", "RecordModel", "Schema", "Target"]
