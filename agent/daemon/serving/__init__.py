"""Measures production traffic: scrapes inference servers, and attributes energy to them."""
