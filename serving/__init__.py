"""The service: answers over HTTP, the log that they are kept in, and what starts and replaces it."""
