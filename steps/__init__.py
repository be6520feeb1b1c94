"""ZenML steps: typed, thin, one public step a file; importing them registers the materializers."""

import materializers as materializers
