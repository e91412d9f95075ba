"""Documents made from the topics: `docs/data-flow.md` and `docs/asyncapi.json`.

`python -m streamdesk.contracts.documents` writes them, `--check` only looks whether they drifted.
"""

from streamdesk.contracts.documents.asyncapi import asyncapi
from streamdesk.contracts.documents.data_flow import data_flow

__all__ = ["asyncapi", "data_flow"]
