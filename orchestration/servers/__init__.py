"""The service, the page and the dashboard as processes on this machine."""
