"""Dispatch back-ends: how waiting workers learn of work, or are sent it."""
