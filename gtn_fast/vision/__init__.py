"""Networks for images: to latents and back, and to judge images by.

    autoencoder.py  the autoencoder of appendix F
    vae.py          a variational one, as a baseline
    base.py         what both share: layers, training, files
    codecs.py       any pair of functions that encode and decode
    classifier.py   a small classifier: features for scores
    pipeline.py     images -> autoencoder -> latents -> GTN -> new images
    unet.py         a small U-Net, for diffusion in pixels (atlas/ddpm.py)
    verdict.py      new images beside decoded normals and reconstructions
    tensors.py      images as tensors, in batches

Reading images from files is in gtn_fast/images/, which needs no torch.
"""
