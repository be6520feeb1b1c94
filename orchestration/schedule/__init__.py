"""Pipelines by cron expressions, one at a time."""
