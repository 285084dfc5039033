"""Ready-made definitions, one file per API. Adding an API to the catalogue is adding one file here."""

from tieline.definitions.catalogue.files import Entry, entries, load

__all__ = ["Entry", "entries", "load"]
