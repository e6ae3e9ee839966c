"""REST and a page in the browser, to search an index with images."""

from hashlens.service.app import create_app
from hashlens.service.server import serve

__all__ = ["create_app", "serve"]
