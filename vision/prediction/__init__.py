"""Many pictures answered by one model without a service: what is asked, the answers, their tables."""
