"""Measurements of gtn_fast against its peers; README.md is the map."""
