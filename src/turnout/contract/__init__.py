"""The contract of a project: every operation that its routes offer, read from the code that serves them."""
