"""ZenML steps: typed, thin, one public step a file; importing them registers the materializers."""

import materializers as materializers  # noqa: PLC0414  registers how records, files and arrays are stored
