"""Processes that read the documents a parser could break on: ``pool`` is the service's side, ``child`` the worker's."""
