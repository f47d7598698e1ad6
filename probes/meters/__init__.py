"""The parts that all families of meters share."""
