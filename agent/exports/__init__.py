"""Files for other programs, made from profiles: one module for each kind."""
