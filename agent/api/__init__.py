"""HTTP: the server and its pages."""
