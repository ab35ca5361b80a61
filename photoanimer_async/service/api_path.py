"""The path of the API page's interfaces."""

from typing import Final

API_PREFIX: Final = "/api/v1"
