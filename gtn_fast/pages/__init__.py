"""What a person reads about a run: a short table, or a page that needs nothing beside it.

texts.py    seconds in words
rows.py     a report as names and values
report.py   ``labels.report``: a dictionary that prints as that table
curves.py   the cosine by turn, losses by epoch: drawings in SVG
frame.py    what every page is made of
page.py     one HTML file about a labeling
training.py another about a training
"""
