"""Configuring, flushing, shutting down and telling how it goes."""
