"""File-based API routes for Python."""
