"""A project of one's own: from a folder of photographs to the configuration that later commands take."""
