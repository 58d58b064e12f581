"""The training layer: from latents to generated samples (sections 2 and 3 of the paper)."""
