"""The admin API's OpenAPI document as a file: ``python -m tieline.web.openapi > docs/openapi.json`` writes it anew.

It is kept in the repository so that every change of the API is seen in review; a test fails when it is stale.
"""

import json
import sys
from typing import cast

from tieline.controlplane.services import Services
from tieline.web.app import create_app


def document() -> str:
    """The document as canonical text with a line break at its end. Needs no services: no route is run."""
    app = create_app(cast("Services", None), allowed_hosts=(), version="")
    return json.dumps(app.openapi(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
