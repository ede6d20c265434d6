"""Connections and limits, one file an engine; each driver is imported when its engine is first used."""
