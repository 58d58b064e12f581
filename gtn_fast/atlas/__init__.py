"""Atlas generative models: charts of R^d that together cover what one of them cannot.

model.py         Atlas: what every model here is (psi, F_y, G_y, a prior); NetworkAtlas, trained
networks.py      the networks of an atlas, dense or convolutional
chart_layers.py  their layers, all charts in one tensor
families.py      what the families' trainings share
cae.py           the chart autoencoder: prices, pruning
start.py         where its charts begin: each in a region of the images
vae.py           the atlas VAE
wae.py           WAE-GAN and atlas WAE-GAN
gan.py           GAN and InfoGAN: no encoders, a semi-atlas
ddpm.py          diffusion in pixels, the contrast: one chart of as many dimensions as pixels
gtn.py           AtlasGTN: a GTN on every chart
gtn_charts.py    GTNAtlas: a GTN of images, seen as an atlas
files.py         an atlas of every kind from its file
curves.py        lengths of curves as the decoder shows them, paths, their resampling
geodesics.py     LatentGraph: shortest paths, from chart to chart
nodes.py         its nodes: encoded images, or draws
edges.py         its edges, and how many of them lie between the farthest nodes
invariants.py    what an atlas knows of the data: nerve, orientation, use of its charts

A source that is one normal distribution can be mapped onto a sphere or a torus only with a tear.
An atlas has a decoder G_y for each of its charts y, encoders F_y back, and a partition of unity
psi that says which charts know a point (definition 1 of Stolberg-Larsen and Sommer). Of gtn_fast
only experiments and the command line import this room; it imports learn and vision.
"""
