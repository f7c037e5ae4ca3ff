"""A georeferenced world made by code, and a camera that flies over it."""
