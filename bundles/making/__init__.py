"""From a recipe to signed media: builds, deltas, repairs."""
