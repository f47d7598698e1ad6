"""From windows over samples to a profile: sessions run it, pure modules derive it."""
