"""What a person reads about a labeling: a short table, or a page that needs nothing beside it.

texts.py    seconds in words
rows.py     a report as names and values
report.py   ``labels.report``: a dictionary that prints as that table
curves.py   the cosine by turn, as a drawing in SVG
page.py     one HTML file about one run
"""
