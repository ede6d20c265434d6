"""A contract to a typed client: one flat module of TypeScript, or of Python for httpx."""
