"""Answers in the formats in which biologists publish: Camtrap DP and Darwin Core."""
