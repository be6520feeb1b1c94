"""The core: from images to a decision, with no MLOps framework inside."""
