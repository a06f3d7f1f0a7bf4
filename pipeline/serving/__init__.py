"""A run that can be asked, over HTTP, while it goes on."""
