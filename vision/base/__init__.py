"""What everything else stands on: records, errors, files, locks."""
