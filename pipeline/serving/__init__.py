"""A run that is asked over HTTP while it goes on. Needs the extra `serve`.

`http` are connections and their limits, `access` who may ask, `app` what is asked and answered: `answers` are forecasts
of what did not come, `recent` those of what did, `status` the state, `metrics` and `openapi` other forms of it; and
`server` puts them together.
"""

from .http import Limits
from .server import TOKEN, find_token, serve

__all__ = ["TOKEN", "Limits", "find_token", "serve"]
