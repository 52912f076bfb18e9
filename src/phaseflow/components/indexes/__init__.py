"""Indexes outside the database."""
