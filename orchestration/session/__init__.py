"""Where a project lies, and the process that works in it."""
