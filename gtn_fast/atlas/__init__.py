"""Atlas generative models: several latent spaces, one for each part of the data.

curves.py       lengths of curves as the decoder shows them, paths, their resampling
geodesics.py    LatentGraph: shortest paths, from chart to chart
nodes.py        its nodes: encoded images, or draws
edges.py        its edges, and how many of them lie between the farthest nodes
invariants.py   what an atlas knows of the data: nerve, orientation, use of its charts
gtn_charts.py   GTNAtlas: a GTN of images, seen as an atlas
"""
