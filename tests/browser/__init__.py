"""Tests that drive the page with a real browser."""
